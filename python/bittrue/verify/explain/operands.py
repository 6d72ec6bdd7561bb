"""Hypotheses about which operands a layer read: exchanged or missing inputs, another tensor, exchanged weight rows, one
wrong weight, another axis."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import numpy as np

from bittrue.verify.explain.case import Array, Hypothesis, LayerCase
from bittrue.verify.explain.values import WrongChannels

MOST_TENSORS = 12  # other tensors that are tried in place of an input
MOST_PATCHES = 20_000_000  # elements of the unfolded input in which a single wrong weight is looked for


def operand_changes(case: LayerCase) -> Iterator[Hypothesis]:
    """Inputs first, then weights."""
    yield from _inputs(case)
    yield from _axes(case)
    yield from _other_tensors(case)
    yield from _weight_rows(case)
    yield from _single_weight(case)


def _computed(case: LayerCase) -> list[int]:
    return [k for k, n in enumerate(case.node.inputs) if n in case.inputs]


def _inputs(case: LayerCase) -> Iterator[Hypothesis]:
    positions = _computed(case)
    if len(positions) < 2:
        return
    for a, b in [(a, b) for a in positions for b in positions if a != b]:
        x, y = case.operand(a), case.operand(b)
        if x is None or y is None or x.dtype != y.dtype or x.shape != y.shape:
            continue
        if a < b:
            text = f"inputs {a} and {b} exchanged"
            yield Hypothesis("OPERAND", "EXCHANGED", text, case.run(operands={a: y, b: x}))
        yield Hypothesis("OPERAND", "TWICE", f"input {a} read in place of input {b}", case.run(operands={b: x}))
    for a in positions:
        x = case.operand(a)
        if x is not None:
            text = f"input {a} read as zero"
            yield Hypothesis("OPERAND", "MISSING", text, case.run(operands={a: np.zeros_like(x)}))
    signs = case.node.attrs.get("signs", [1] * len(positions))
    for k in range(len(positions)) if case.node.op == "Add" else ():
        changed = [-int(s) if i == k else int(s) for i, s in enumerate(signs)]
        yield Hypothesis("OPERAND", "SIGN", f"input {k} with the other sign", case.run({"signs": changed}))


def _axes(case: LayerCase) -> Iterator[Hypothesis]:
    rank = case.simulated.ndim
    axis = case.node.attrs.get("axis")
    if isinstance(axis, int):
        for other in range(rank):
            if other not in (axis, axis + rank):
                text = f"axis {axis} -> {other}"
                yield Hypothesis("LAYOUT", "AXIS", text, case.run({"axis": other}), {"axis": other})
    perm = case.node.attrs.get("perm")
    if perm is not None and rank <= 4:
        x = case.operand(0)
        for order in map(list, permutations(range(rank))):
            fits = x is not None and tuple(x.shape[k] for k in order) == case.simulated.shape
            if fits and order != list(perm):
                text = f"perm {list(perm)} -> {order}"
                yield Hypothesis("LAYOUT", "PERMUTATION", text, case.run({"perm": order}))


def _other_tensors(case: LayerCase) -> Iterator[Hypothesis]:
    """A memory mistake: the layer read another tensor that existed by then."""
    for position in _computed(case):
        name = case.node.inputs[position]
        tried = 0
        for other in case.graph.activations():
            if other == case.output or tried == MOST_TENSORS:
                break
            if other == name or case.graph.types[other] != case.graph.types[name] or other not in case.others:
                continue
            tried += 1
            text = f"reads tensor '{other}' in place of '{name}'"
            yield Hypothesis("OPERAND", f"READS:{other}", text, case.run(operands={position: case.others[other]}))


def _weight_rows(case: LayerCase) -> Iterator[Hypothesis]:
    """Two wrong channels whose weights, or whose biases, are exchanged."""
    channels = WrongChannels.of(case)
    if channels is None or channels.wrong.size != 2:
        return
    a, b = channels.wrong
    for position, what in ((1, "weights"), (2, "biases")):
        array = case.constant(position)
        axis = 0 if case.node.op in ("Conv2d", "FloatConv2d") or position == 2 else -1
        if array is None or array.shape[axis] <= max(a, b):
            continue
        changed = array.copy()
        rows = np.moveaxis(changed, axis, 0)
        rows[[a, b]] = rows[[b, a]]
        text = f"{what} of channels {a} and {b} exchanged"
        yield Hypothesis("PER_CHANNEL", "SWAP", text, case.run(operands={position: changed}))


def _single_weight(case: LayerCase) -> Iterator[Hypothesis]:
    """One wrong channel of a convolution: is there one weight whose other value explains all of its elements?"""
    channels = WrongChannels.of(case)
    weights, factors = case.constant(1), case.factors
    if case.node.op != "Conv2d" or channels is None or channels.wrong.size != 1 or weights is None:
        return
    if factors is None or case.sums is None:
        return
    c = int(channels.wrong[0])
    patches = unfolded(case, c)
    if patches is None:
        return
    used = case.free[:, c].reshape(-1)
    exact = case.sums[:, c].reshape(-1)[used].astype(np.float64)
    target = case.observed[:, c].reshape(-1)[used].astype(np.float64) - int(case.attribute("zero_point"))
    factor = float(np.broadcast_to(np.atleast_1d(factors), (weights.shape[0],))[c])
    if not used.any() or factor == 0:
        return
    low, high = (target - 0.5) / factor - exact, (target + 0.5) / factor - exact
    x = patches[:, used]
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = low / x, high / x
        least = np.where(x != 0, np.minimum(a, b), -np.inf).max(axis=1)
        most = np.where(x != 0, np.maximum(a, b), np.inf).min(axis=1)
    untouched = ((x != 0) | ((low <= 0) & (high >= 0))).all(axis=1)
    bounded = np.isfinite(least) & np.isfinite(most)  # a weight that only meets zeros could be anything
    found = np.flatnonzero(untouched & bounded & (np.ceil(least) <= np.floor(most)))
    for k in found[:3]:
        where = (c, *(int(p) for p in np.unravel_index(int(k), weights.shape[1:])))
        delta = int(np.ceil(least[k])) if np.ceil(least[k]) != 0 else int(np.floor(most[k]))
        value = int(weights[where]) + delta
        info = np.iinfo(weights.dtype)
        if delta == 0 or not info.min <= value <= info.max:
            continue
        changed = weights.copy()
        changed[where] = value
        text = f"weight {list(where)} is {value} in place of {int(weights[where])}"
        yield Hypothesis("WEIGHT", "SINGLE", text, case.run(operands={1: changed}), free_parameters=1)


def unfolded(case: LayerCase, channel: int) -> Array | None:
    """(weights of one output channel, output elements): what each weight is multiplied with; None if that is large."""
    x, weights, attrs = case.operand(0), case.constant(1), case.node.attrs
    if x is None or weights is None or x.ndim != 4:
        return None
    n, _, oh, ow = case.simulated.shape
    inputs, kh, kw = weights.shape[1:]
    if inputs * kh * kw * n * oh * ow > MOST_PATCHES:
        return None
    (sh, sw), (dh, dw) = attrs.get("strides", [1, 1]), attrs.get("dilations", [1, 1])
    top, left, bottom, right = attrs.get("pads", [0, 0, 0, 0])
    first = channel // (weights.shape[0] // attrs.get("group", 1)) * inputs
    shifted = x[:, first : first + inputs].astype(np.float64) - int(attrs.get("x_zero_point", 0))
    padded = np.pad(shifted, ((0, 0), (0, 0), (top, bottom), (left, right)))
    taps = [
        padded[:, :, i * dh : i * dh + (oh - 1) * sh + 1 : sh, j * dw : j * dw + (ow - 1) * sw + 1 : sw]
        for i in range(kh)
        for j in range(kw)
    ]
    stacked = np.stack(taps, axis=2)  # n, inputs, taps, oh, ow
    result: Array = stacked.transpose(1, 2, 0, 3, 4).reshape(inputs * kh * kw, n * oh * ow)
    return result
