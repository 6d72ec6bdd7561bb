"""Rules for newer opsets: inputs that were attributes, counts, renamed modes."""

from __future__ import annotations

import numpy as np
from onnx import helper

from bittrue.importers.opset.writer import Writer, rule

LINEAR_REDUCTIONS = ("ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd")
OTHER_REDUCTIONS = ("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare")


@rule(*LINEAR_REDUCTIONS, *OTHER_REDUCTIONS, since=18)
def reduce(w: Writer) -> None:
    axes = w.constant(1, "axes")
    if axes is not None and axes.size:
        w.keep([w.x], without=("noop_with_empty_axes",), axes=[int(a) for a in axes])
    elif not w.node.attrs.get("noop_with_empty_axes", 0):
        w.keep([w.x], without=("noop_with_empty_axes",))
    elif w.node.op in LINEAR_REDUCTIONS:
        w.add("Identity", [w.x])
    else:
        raise w.error("noop_with_empty_axes without axes")


@rule("Split", since=18)
def split(w: Writer) -> None:
    """Sizes instead of a number of parts, of which the last one may be smaller."""
    attrs = w.node.attrs
    if "num_outputs" not in attrs:
        w.keep()
        return
    count, size = attrs["num_outputs"], w.shape(w.x)[attrs.get("axis", 0)]
    part = -(-size // count)
    last = size - part * (count - 1)
    if len(w.node.outputs) != count or last < 0:
        raise w.error(f"{size} elements in {count} parts, {len(w.node.outputs)} outputs")
    w.keep([w.x, w.add_constant("split", [*[part] * (count - 1), last])], without=("num_outputs",))


@rule("Pad", since=18)
def pad(w: Writer) -> None:
    """Amounts for all axes; wrap as a gather per axis."""
    x, mode = w.x, w.node.attrs.get("mode", "constant")
    axes = w.constant(3, "axes")
    if axes is None and mode != "wrap":
        w.keep()
        return
    shape = w.shape(x)
    rank = len(shape)
    amounts = w.required(1, "amounts")
    wanted = [int(a) % rank for a in axes] if axes is not None else list(range(rank))
    full = np.zeros((2, rank), np.int64)
    full[:, wanted] = amounts.reshape(2, -1)
    if mode != "wrap":
        w.keep([x, w.add_constant("pads", full.ravel()), w.input(2)])
        return
    changed = [d for d in range(rank) if full[:, d].any()]
    for axis in changed:
        index = np.arange(-full[0, axis], shape[axis] + full[1, axis]) % shape[axis]
        output = None if axis == changed[-1] else f"wrapped_{axis}"
        x = w.add("Gather", [x, w.add_constant(f"index_{axis}", index)], output, axis=axis)
    if not changed:
        w.add("Identity", [x])


@rule("GridSample", since=20)
def grid_sample(w: Writer) -> None:
    mode = w.node.attrs.get("mode", "linear")
    w.keep(mode={"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode))


@rule("DFT", since=20)
def dft(w: Writer) -> None:
    axis = w.constant(2, "axes")
    w.keep(w.node.inputs[:2], axis=-2 if axis is None else int(axis))


@rule("AveragePool", "LpPool", since=18)
def pool(w: Writer) -> None:
    dilations = w.node.attrs.get("dilations", [])
    w.keep(without=("dilations",) if all(d == 1 for d in dilations) else ())


@rule("QuantizeLinear", since=21)
def quantize_linear(w: Writer) -> None:
    """The type of the result stands in the zero point."""
    kind = w.node.attrs.get("output_dtype", 0)
    if not kind or w.input(2):
        w.keep(without=("output_dtype",))
        return
    zero = np.zeros(w.shape(w.input(1)), helper.tensor_dtype_to_np_dtype(kind))
    w.keep([*w.node.inputs[:2], w.add_constant("zero_point", zero, zero.dtype)], without=("output_dtype",))
