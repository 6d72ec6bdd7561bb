"""Passes on the float graph, one file each. Every pass keeps the float outputs (within rounding)."""

from __future__ import annotations

from collections.abc import Callable, Collection

from bittrue.errors import UsageError
from bittrue.graph.ir import Graph
from bittrue.graph.passes.canonical import canonical
from bittrue.graph.passes.eliminate_identity import eliminate_identity
from bittrue.graph.passes.expand_1d import expand_1d
from bittrue.graph.passes.fold_batch_norm import fold_batch_norm
from bittrue.graph.passes.fold_constants import fold_constants
from bittrue.graph.passes.fold_pad import fold_pad
from bittrue.graph.passes.fuse_activation import fuse_activation
from bittrue.graph.passes.gemm_to_matmul import gemm_to_matmul
from bittrue.graph.passes.merge_reshapes import merge_reshapes
from bittrue.graph.passes.recognise_activations import recognise_activations
from bittrue.graph.passes.recognise_normalize import recognise_normalize
from bittrue.graph.types import infer_types

PASSES: dict[str, Callable[[Graph], None]] = {
    "fold_constants": fold_constants,
    "eliminate_identity": eliminate_identity,
    "canonical": canonical,
    "gemm_to_matmul": gemm_to_matmul,
    "fold_batch_norm": fold_batch_norm,
    "fold_pad": fold_pad,
    "recognise_activations": recognise_activations,
    "recognise_normalize": recognise_normalize,
    "fuse_activation": fuse_activation,
    "expand_1d": expand_1d,
    "merge_reshapes": merge_reshapes,
}
# The quantizer relies on these: constants known, attributes spelled, two-dimensional windows.
REQUIRED = ("fold_constants", "canonical", "expand_1d")


def run_passes(graph: Graph, disabled: Collection[str] = ()) -> None:
    """Runs all passes in order, then removes what nothing reads. Raises UsageError for unknown or required names."""
    for name in disabled:
        if name not in PASSES:
            raise UsageError(f"no pass '{name}'; known: {', '.join(PASSES)}")
        if name in REQUIRED:
            raise UsageError(f"pass '{name}' cannot be disabled")
    infer_types(graph)
    for name, run in PASSES.items():
        if name not in disabled:
            run(graph)
            remove_unused(graph)
    infer_types(graph)


def remove_unused(graph: Graph) -> None:
    """Drops nodes whose outputs nothing reads, and unused constants and types."""
    needed = set(graph.outputs)
    kept = []
    for node in reversed(graph.nodes):
        if any(o in needed for o in node.outputs):
            kept.append(node)
            needed.update(i for n in (node, *node.fused, *node.absorbed) for i in n.inputs if i)
    graph.nodes = kept[::-1]
    graph.constants = {n: a for n, a in graph.constants.items() if n in needed}
    alive = needed | set(graph.inputs) | {o for n in graph.nodes for o in n.outputs}
    graph.types = {n: t for n, t in graph.types.items() if n in alive}
