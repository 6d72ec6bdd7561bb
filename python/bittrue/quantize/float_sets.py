"""Sets of layers that stay in float: before some layers, after them, or blocks around them."""

from __future__ import annotations

from collections.abc import Callable, Collection

from bittrue.graph.ir import Graph, Node
from bittrue.quantize.movement import MOVEMENT

# What does not compute; a block goes on through it. Evidence: assumed, the vendor's manual gives only the word.
NOT_COMPUTING = {*MOVEMENT, "Concat", "Identity", "Dropout"}


def before(graph: Graph, names: Collection[str]) -> set[str]:
    """Names of the nodes that the named ones depend on, and of these."""
    needed: set[str] = set()
    chosen: set[str] = set()
    for node in reversed(graph.nodes):
        if node.name in names or needed.intersection(node.outputs):
            chosen.add(node.name)
            needed.update(i for i in node.inputs if i)
    return chosen


def after(graph: Graph, names: Collection[str]) -> set[str]:
    """Names of the nodes that depend on the named ones, and of these."""
    made: set[str] = set()
    chosen: set[str] = set()
    for node in graph.nodes:
        if node.name in names or made.intersection(node.inputs):
            chosen.add(node.name)
            made.update(o for o in node.outputs if o)
    return chosen


def blocks(graph: Graph, names: Collection[str]) -> set[str]:
    """Names of the named nodes and of what follows each of them up to, not including, the next computing one."""
    readers = graph.consumers()
    chosen = set(names)
    waiting: list[Node] = [n for n in graph.nodes if n.name in names]
    while waiting:
        node = waiting.pop()
        for reader in (r for o in node.outputs for r in readers.get(o, [])):
            if reader.op in NOT_COMPUTING and reader.name not in chosen:
                chosen.add(reader.name)
                waiting.append(reader)
    return chosen


FLOAT_SETS: dict[str, Callable[[Graph, Collection[str]], set[str]]] = {
    "fpfwd_inputs": before,
    "fpfwd_outputs": after,
    "fpfwd_blocks": blocks,
}
