"""Applies the rules to every node of a graph."""

from __future__ import annotations

from onnx import defs

from bittrue.errors import UnsupportedError
from bittrue.graph.host_ops import HOST_DOMAIN
from bittrue.graph.ir import OPSET, Graph, Node
from bittrue.graph.types import infer_types
from bittrue.importers.opset import activations, newer, normalization, older, resize  # noqa: F401 register rules
from bittrue.importers.opset.conform import conform, schema
from bittrue.importers.opset.writer import PENDING, RULES, Writer

OLDEST = 7


def check_opset(version: int, nodes: list[tuple[str, str]]) -> None:
    """Raises UnsupportedError for opsets out of reach, and for all (name, op) that the opset does not have."""
    if version < OLDEST:
        raise UnsupportedError(f"opset {version} is older than {OLDEST}")
    if version > defs.onnx_opset_version():
        raise UnsupportedError(f"opset {version} is newer than {defs.onnx_opset_version()}, the newest known")
    unknown = [f"node '{name}' ({op}): not an op of opset {version}" for name, op in nodes if not schema(op, version)]
    if unknown:
        raise UnsupportedError("; ".join(unknown))


def to_fixed_opset(graph: Graph) -> None:
    """Brings a graph with known types to the fixed opset. Raises UnsupportedError that lists nodes without a rule."""
    version = graph.opset
    nodes: list[Node] = []
    problems: list[str] = []
    for node in graph.nodes:
        writer = Writer(graph, node)
        rules = [r for r in RULES.get(node.op, []) if r.since <= version < r.before]
        try:
            if rules and node.domain != HOST_DOMAIN:
                rules[0].run(writer)
            else:
                writer.nodes = [node]
        except UnsupportedError as e:
            problems.append(str(e))
            continue
        for new in writer.nodes:
            if new.domain != HOST_DOMAIN and (reason := conform(new, version)):
                problems.append(f"node '{new.name}' ({new.op}): {reason}")
        nodes.extend(writer.nodes)
    if problems:
        raise UnsupportedError("; ".join(problems))
    graph.nodes, graph.opset = nodes, OPSET
    graph.types = {n: t for n, t in graph.types.items() if t is not PENDING}
    infer_types(graph)
