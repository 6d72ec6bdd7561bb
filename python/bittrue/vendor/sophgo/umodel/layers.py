"""Layers of a prototxt and the nodes of the float graph that stand for them: passes fold and fuse, so that a layer may
have several nodes, or share one with the layer before."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from bittrue.errors import UsageError
from bittrue.graph.ir import Graph, Node
from bittrue.spelling import nearest
from bittrue.vendor.sophgo.umodel.network import Network


def check_layers(network: Network, names: Collection[str], option: str) -> None:
    """Raises UsageError that names the first unknown layer of an option, and the nearest known ones."""
    known = [layer.name for layer in network.proto.layer]
    for name in names:
        if name not in known:
            raise UsageError(f"--{option}: no layer '{name}' in {network.prototxt}{nearest(name, known)}")


def nodes_of_layers(graph: Graph, network: Network, names: Iterable[str]) -> set[str]:
    """Names of the nodes that compute the results of the named layers."""
    wanted = set(names)
    known = {layer.name for layer in network.proto.layer}
    tops = {top for layer in network.proto.layer if layer.name in wanted for top in layer.top}
    return {n.name for n in graph.nodes if _layer_of(n, known) in wanted or tops.intersection(_results(n))}


def _layer_of(node: Node, known: Collection[str]) -> str:
    """The layer whose name a node's begins with; names of layers may hold slashes themselves, so the longest."""
    name = node.name
    while name not in known and "/" in name:
        name = name.rpartition("/")[0]
    return name


def _results(node: Node) -> list[str]:
    """Outputs, and the results before fused activations."""
    return [*node.outputs, *(f.inputs[0] for f in node.fused)]


def outputs_of_layer(graph: Graph, network: Network, name: str) -> list[str]:
    """Results of the nodes that compute the tops of a layer, or that took its result in by fusion."""
    tops = set(network.layer(name).top)
    return [o for n in graph.nodes if tops.intersection(_results(n)) for o in n.outputs if o]
