"""Hypotheses about what the layer read: padding, signedness, permuted or mirrored weights and inputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from bittrue.verify.explain.case import Array, Hypothesis, LayerCase

CONVOLUTIONS = ("Conv2d", "FloatConv2d")
POOLS = ("MaxPool2d", "AvgPool2d", "FloatMaxPool2d", "FloatAvgPool2d")


def data_changes(case: LayerCase) -> Iterator[Hypothesis]:
    """Padding first, then the weights, then the input."""
    if case.node.op in CONVOLUTIONS + POOLS:
        yield from _padding(case)
        yield from _window(case)
    for position, what in ((1, "weights"), (0, "input")):
        array = case.operand(position)
        if array is None or (position == 1 and case.constant(1) is None):
            continue
        for label, text, changed in _rearranged(array, what):
            changed = np.ascontiguousarray(changed)
            yield Hypothesis("LAYOUT", label, text, case.run(operands={position: changed}))
        if array.dtype in (np.int8, np.uint8):
            other = np.uint8 if array.dtype == np.int8 else np.int8
            text = f"{what} read as {np.dtype(other).name}"
            yield Hypothesis(
                "SATURATION" if position else "ZERO_POINT",
                "SIGNEDNESS",
                text,
                case.run(operands={position: array.view(other)}),
            )


def _rearranged(array: Array, what: str) -> Iterator[tuple[str, str, Array]]:
    rank = array.ndim
    if rank == 4:
        yield (
            "KERNEL_FLIP" if what == "weights" else "MIRROR",
            f"{what} mirrored in both axes",
            array[..., ::-1, ::-1],
        )
        yield "VERTICAL_FLIP", f"{what} mirrored vertically", array[..., ::-1, :]
        yield "HORIZONTAL_FLIP", f"{what} mirrored horizontally", array[..., ::-1]
        yield "HW", f"{what} with height and width exchanged", array.swapaxes(2, 3).reshape(array.shape)
        n, c, h, w = array.shape
        yield "NHWC", f"{what} stored channels last", array.transpose(0, 2, 3, 1).reshape(array.shape)
        yield "NHWC", f"{what} read channels last", array.reshape(n, h, w, c).transpose(0, 3, 1, 2)
    if rank >= 2:
        yield "CHANNEL_REVERSE", f"{what} with axis 1 in reverse order", array[:, ::-1]
    if rank >= 2 and what == "weights":
        yield "CHANNEL_REVERSE", "weights with axis 0 in reverse order", array[::-1]
        square = array.shape[0] == array.shape[1]
        if square or rank == 2:
            how = "with their first two axes exchanged" if square else "stored transposed"
            yield "TRANSPOSED", f"weights {how}", array.swapaxes(0, 1).reshape(array.shape)


def _padding(case: LayerCase) -> Iterator[Hypothesis]:
    """Another value or another kind of padding: the input is padded beforehand."""
    pads = list(case.node.attrs.get("pads", [0, 0, 0, 0]))
    x = case.operand(0)
    if x is None or x.ndim != 4 or not any(pads):
        return
    zero = int(case.node.attrs.get("x_zero_point", 0))
    widths = ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3]))
    average = "AvgPool" in case.node.op
    attrs: dict[str, Any] = {"pads": [0, 0, 0, 0]}
    if average and case.node.attrs.get("count_include_pad", 1) == 0:
        return
    values: list[float] = [0, zero, 1, -1]
    if case.integer:
        info = np.iinfo(x.dtype)
        values += [info.min, info.max, 128, -zero]
    base = "the zero point" if zero else "zero"
    for value in dict.fromkeys(values):
        if value == zero and "Max" not in case.node.op:
            continue
        if case.integer and not info.min <= value <= info.max:
            continue
        yield Hypothesis(
            "PAD_EDGE",
            f"VALUE_{value:g}",
            f"padding {base} -> {value:g}",
            case.run(attrs, {0: np.pad(x, widths, constant_values=value)}),
        )
    modes: tuple[tuple[Literal["edge", "reflect", "wrap"], str], ...] = (
        ("edge", "the nearest element"),
        ("reflect", "reflection"),
        ("wrap", "wrap-around"),
    )
    for mode, word in modes:
        if mode == "reflect" and (max(pads[0], pads[2]) >= x.shape[2] or max(pads[1], pads[3]) >= x.shape[3]):
            continue
        yield Hypothesis(
            "PAD_EDGE",
            mode.upper(),
            f"padding {base} -> {word}",
            case.run(attrs, {0: np.pad(x, widths, mode=mode)}),
        )


def _window(case: LayerCase) -> Iterator[Hypothesis]:
    """Padding on the other sides, exchanged strides or dilations: the same output shape from another window."""
    pads = list(case.node.attrs.get("pads", [0, 0, 0, 0]))
    top, left, bottom, right = pads
    variants = {
        "SIDES": ([bottom, right, top, left], "bottom and right padded in place of top and left"),
        "HW": ([left, top, right, bottom], "horizontal and vertical padding exchanged"),
        "BEGIN": ([top + bottom, left + right, 0, 0], "all padding at top and left"),
        "END": ([0, 0, top + bottom, left + right], "all padding at bottom and right"),
    }
    for label, (changed, text) in variants.items():
        if changed != pads:
            yield Hypothesis("PAD_EDGE", label, text, case.run({"pads": changed}))
    for name in ("strides", "dilations"):
        old = list(case.node.attrs.get(name, [1, 1]))
        if len(old) == 2 and old[0] != old[1]:
            text = f"{name} exchanged"
            yield Hypothesis("LAYOUT", "HW", text, case.run({name: old[::-1]}))
