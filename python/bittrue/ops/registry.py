"""The ops of the quantized graph: what each is called, which attributes it takes, and its numpy model.

A module of this package defines one op (or one family) and registers it; importing `bittrue.ops` loads them all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bittrue.errors import UnsupportedError
from bittrue.graph.ir import Graph, Node, TensorType

Array = np.ndarray[Any, Any]
Evaluate = Callable[[Node, Sequence[Array | None], Sequence[TensorType]], Sequence[Array]]

STAGE = (
    "acc",
    "requant",
    "multiplier",
    "shift",
    "scale",
    "rounding",
    "high_rounding",
    "zero_point",
    "zero_point_order",
    "clamp_min",
    "clamp_max",
)
INPUT_STAGE = (
    "input_requant",
    "input_multiplier",
    "input_shift",
    "input_scale",
    "input_rounding",
    "input_high_rounding",
    "input_zero_point",
    "left_shift",
)


@dataclass(frozen=True)
class OpModel:
    """Attributes an op accepts, and its numpy model: (node, input arrays, output types) -> output arrays."""

    name: str
    attributes: tuple[str, ...]
    evaluate: Evaluate


OPS: dict[str, OpModel] = {}


def op(name: str, *attributes: str) -> Callable[[Evaluate], Evaluate]:
    """Registers the decorated function as the numpy model of an op."""

    def register(evaluate: Evaluate) -> Evaluate:
        OPS[name] = OpModel(name, (*attributes, "evidence"), evaluate)
        return evaluate

    return register


def evaluate_node(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> list[Array]:
    """Runs the numpy model of one node; output arrays have the declared dtypes and shapes.

    Raises UnsupportedError for an unknown op or attribute.
    """
    model = OPS.get(node.op)
    if model is None:
        raise UnsupportedError(f"node '{node.name}': unknown op '{node.op}'")
    unknown = sorted(set(node.attrs) - set(model.attributes))
    if unknown:
        raise UnsupportedError(f"node '{node.name}' ({node.op}): unknown attribute '{unknown[0]}'")
    results = model.evaluate(node, inputs, outputs)
    return [np.ascontiguousarray(r, t.dtype).reshape(t.shape) for r, t in zip(results, outputs, strict=True)]


def evaluate_graph(graph: Graph, feeds: dict[str, Array]) -> dict[str, Array]:
    """All tensors of a quantized graph by the numpy models: graph inputs, then node outputs in execution order."""
    values: dict[str, Array] = {name: np.asarray(feeds[name]) for name in graph.inputs}
    for node in graph.nodes:
        inputs = [None if not i else graph.constants[i] if i in graph.constants else values[i] for i in node.inputs]
        results = evaluate_node(node, inputs, [graph.types[o] for o in node.outputs])
        values.update(zip(node.outputs, results, strict=True))
    return values
