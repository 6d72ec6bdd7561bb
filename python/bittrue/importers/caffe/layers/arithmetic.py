"""Scale, Bias, Eltwise, Reduction and ArgMax."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bittrue.importers.caffe.blobs import Kind
from bittrue.importers.caffe.writer import Writer, rule


def _covered(w: Writer, p: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shape of the second operand of Scale and Bias, an input or a blob: of its own, and aligned to the axes of x
    that it covers."""
    rank = len(w.shape(w.x))
    if len(w.layer.bottoms) > 1:
        covered = w.shape(w.layer.bottoms[1])
    else:
        count = rank if p.num_axes == -1 else p.num_axes
        covered = w.shape(w.x)[w.axis(p.axis) :][:count]
    return covered, (*covered, *[1] * (rank - w.axis(p.axis) - len(covered))) if covered else ()


def _operand(w: Writer, p: Any, what: str, kind: Kind) -> str:
    covered, aligned = _covered(w, p)
    if len(w.layer.bottoms) == 1:
        return w.constant(what, w.blob(0, covered, kind).reshape(aligned))
    other = w.layer.bottoms[1]
    return other if covered == aligned else w.reshape(other, aligned, "aligned")


@rule("Scale")
def scale(w: Writer) -> None:
    p = w.proto.scale_param
    inputs = [w.x, _operand(w, p, "scale", "gain")]
    if not p.bias_term:
        w.add("Mul", inputs)
        return
    product = w.add("Mul", inputs, "product")
    covered, aligned = _covered(w, p)
    offset = w.blob(2 - len(w.layer.bottoms), covered, "bias")
    w.add("Add", [product, w.constant("bias", offset.reshape(aligned))])


@rule("Bias")
def bias(w: Writer) -> None:
    w.add("Add", [w.x, _operand(w, w.proto.bias_param, "bias", "bias")])


@rule("Eltwise")
def eltwise(w: Writer) -> None:
    p = w.proto.eltwise_param
    names, operation = list(w.layer.bottoms), p.DESCRIPTOR.fields_by_name["operation"].enum_type
    kind = operation.values_by_number[p.operation].name
    coefficients = list(p.coeff) or [1.0] * len(names)
    if len(coefficients) != len(names):
        raise w.error(f"{len(coefficients)} coefficients for {len(names)} inputs")
    if any(w.shape(n) != w.shape(w.x) for n in names):
        raise w.error(f"inputs of different shapes {[list(w.shape(n)) for n in names]}")
    if kind != "SUM":
        _chain(w, names, ["Mul" if kind == "PROD" else "Max"] * len(names))
        return
    # Minus one subtracts; the first input, and other coefficients, are multiplied.
    ops = ["Sub" if i and c == -1 else "Add" for i, c in enumerate(coefficients)]
    for i, c in enumerate(coefficients):
        if c != 1 and ops[i] == "Add":
            names[i] = w.add("Mul", [names[i], w.constant(f"coefficient{i}", c)], f"scaled{i}")
    _chain(w, names, ops)


def _chain(w: Writer, names: Sequence[str], ops: Sequence[str]) -> None:
    result = names[0]
    for i in range(1, len(names)):
        result = w.add(ops[i], [result, names[i]], None if i == len(names) - 1 else f"partial{i}")
    if len(names) == 1:
        w.add("Identity", [result])


REDUCTIONS = {1: "ReduceSum", 2: "ReduceL1", 3: "ReduceSumSquare", 4: "ReduceMean"}


@rule("Reduction")
def reduction(w: Writer) -> None:
    """Over all axes from `axis` on, then times `coeff`."""
    p = w.proto.reduction_param
    axes = list(range(w.axis(p.axis), len(w.shape(w.x))))
    op, last = REDUCTIONS[p.operation], None if p.coeff == 1 else "reduced"
    if op == "ReduceSum":  # takes its axes as an input from opset 13 on, the others from 18 on
        result = w.add(op, [w.x, w.constant("axes", axes, np.int64)], last, keepdims=0)
    else:
        result = w.add(op, [w.x], last, axes=axes, keepdims=0)
    if p.coeff != 1:
        w.add("Mul", [result, w.constant("coefficient", p.coeff)])


@rule("ArgMax")
def arg_max(w: Writer) -> None:
    """Indices as floats; of equal values Caffe takes the larger index first, so the axis is reversed before TopK."""
    p = w.proto.argmax_param
    whole = not p.HasField("axis")
    axis = 1 if whole else w.axis(p.axis)
    x = w.add("Flatten", [w.x], "rows", axis=1) if whole and len(w.shape(w.x)) != 2 else w.x
    length = w.shape(x)[axis]
    if p.top_k > length:
        raise w.error(f"top_k {p.top_k} of {length} elements")
    backwards = w.add("Gather", [x, w.constant("backwards", np.arange(length)[::-1], np.int64)], "backwards", axis=axis)
    count = w.constant("count", [p.top_k], np.int64)
    names = [w.graph.unique_name(f"{w.layer.name}/{part}") for part in ("values", "positions")]
    values, positions = w.add_many("TopK", [backwards, count], names, names[0], axis=axis)
    if not whole and p.out_max_val:
        w.add("Identity", [values])
        return
    as_float = w.add("Cast", [positions], "float_positions", to=1)
    indices = [w.constant("last", length - 1), as_float]
    if not whole:
        w.add("Sub", indices)
        return
    result = w.add("Sub", indices, "indices")
    if p.out_max_val:
        result = w.add("Concat", [result, values], "pairs", axis=1)
    w.reshape(result, (w.shape(x)[0], 1 + p.out_max_val, p.top_k))
