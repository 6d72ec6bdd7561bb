"""Which layers stay in float, by the options and the fields of the prototxt."""

from __future__ import annotations

from bittrue.graph.ir import Graph
from bittrue.quantize.float_sets import FLOAT_SETS
from bittrue.vendor.sophgo.arguments import Parsed
from bittrue.vendor.sophgo.umodel.layers import check_layers, nodes_of_layers
from bittrue.vendor.sophgo.umodel.network import Network
from bittrue.vendor.sophgo.umodel.transforms import is_depthwise


def mark_float_layers(network: Network, graph: Graph, options: Parsed) -> None:
    """Sets `forward_with_float` of the layers that the options keep in float. Raises UsageError for unknown names."""
    chosen: set[str] = set()
    for option, set_of in FLOAT_SETS.items():
        check_layers(network, options[option], option)
        if options[option]:
            chosen |= set_of(graph, nodes_of_layers(graph, network, options[option]))
    for layer in network.proto.layer:
        depthwise = options["accuracy_opt"] and is_depthwise(layer)
        if depthwise or chosen & nodes_of_layers(graph, network, [layer.name]):
            layer.forward_with_float = True
