"""Hypotheses about the finished output: stored in another order, wrapped, dead or exchanged channels, stale memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

from bittrue.ops.arithmetic import round_real
from bittrue.verify.explain.case import Array, Hypothesis, LayerCase
from bittrue.verify.explain.fits import fitting_factors, simplest

LISTED = 8
FEW_CHANNELS = 4
UNARY = ("Lookup", "Clip", "Requantize", "LookupInterpolated")


def storage_changes(case: LayerCase) -> Iterator[Hypothesis]:
    """The right values in the wrong place, or none at all: patterns that no arithmetic makes by chance."""
    yield from _constant(case)
    yield from _stale(case)
    yield from _layouts(case)
    channels = np.unique(np.nonzero(case.bad)[case.channel_axis]).size
    # A few dead channels are a fault of channels; a run of many is memory that was not written.
    few = channels < FEW_CHANNELS
    yield from chain(*((_channels(case), _unwritten(case)) if few else (_unwritten(case), _channels(case))))


def value_changes(case: LayerCase) -> Iterator[Hypothesis]:
    """Wrapping, and what is fitted to single channels or single codes."""
    if case.integer:
        yield from _wraps(case)
        yield from _channel_steps(case)
        yield from _codes(case)


def _constant(case: LayerCase) -> Iterator[Hypothesis]:
    first = case.observed.flat[0]
    if case.observed.size > 1 and (case.observed == first).all():
        label = "ZERO" if first == 0 else "CONSTANT"
        text = f"every element is {first}: the output was not written or is cleared"
        yield Hypothesis("STALE_MISSING", label, text, case.observed)


def _unwritten(case: LayerCase) -> Iterator[Hypothesis]:
    """A contiguous part of the memory holds one value."""
    where = np.flatnonzero(case.bad.reshape(-1))
    if where.size < 16:
        return
    begin, end = int(where[0]), int(where[-1]) + 1
    flat = case.observed.reshape(-1)
    if end - begin < case.observed.size and (flat[begin:end] == flat[begin]).all():
        text = f"elements {begin} to {end - 1} (flat) are all {flat[begin]}: a part was not written"
        result = case.simulated.copy()
        result.reshape(-1)[begin:end] = flat[begin]
        yield Hypothesis("STALE_MISSING", "RANGE", text, result, free_parameters=2)


def _stale(case: LayerCase) -> Iterator[Hypothesis]:
    size, itemsize = case.observed.nbytes, case.observed.dtype.itemsize
    for name in case.graph.activations():
        if name == case.output:
            return  # later tensors did not exist yet
        if case.graph.types[name].bytes != size or name not in case.others:
            continue
        other = case.others[name]
        if other.nbytes == size and other.dtype.itemsize == itemsize:
            text = f"a copy of tensor '{name}'"
            yield Hypothesis(
                "STALE_MISSING",
                f"COPY_OF:{name}",
                text,
                np.ascontiguousarray(other).view(case.observed.dtype).reshape(case.observed.shape),
            )


def permutations(r: Array) -> Iterator[tuple[str, str, Array]]:
    """(label, words, the tensor as it would be read) of the layout mistakes that are known."""
    yield "ALL_REVERSE", "all elements in reverse order", r.reshape(-1)[::-1].reshape(r.shape)
    if r.ndim >= 2:
        yield "CHANNEL_REVERSE", "channels in reverse order", r[:, ::-1]
        for groups in (2, 3, 4, 8):
            n, c = r.shape[:2]
            if c % groups == 0 and c > groups:
                shuffled = r.reshape(n, groups, c // groups, -1).swapaxes(1, 2).reshape(r.shape)
                yield f"CHANNEL_SHUFFLE_{groups}", f"channels shuffled in {groups} groups", shuffled
        for lanes in (4, 2):
            if r.shape[0] % lanes == 0:
                packed = r.reshape(r.shape[0] // lanes, lanes, -1).swapaxes(1, 2).reshape(r.shape)
                yield f"{lanes}N", f"{lanes}N interleaved batch", packed
                inverse = r.reshape(r.shape[0] // lanes, -1, lanes).swapaxes(1, 2).reshape(r.shape)
                yield f"{lanes}N", f"{lanes}N interleaved batch, read back twice", inverse
        if r.shape[0] > 1:
            yield "BATCH_REVERSE", "batch in reverse order", r[::-1]
            yield "BATCH_SHIFT", "batch shifted by one", np.roll(r, 1, axis=0)
    if r.ndim != 4:
        return
    n, c, h, w = r.shape
    yield "NHWC", "stored NHWC (channels last)", r.transpose(0, 2, 3, 1).reshape(r.shape)
    yield "NHWC", "read as NHWC (channels last)", r.reshape(n, h, w, c).transpose(0, 3, 1, 2)
    yield "HW", "height and width exchanged", r.transpose(0, 1, 3, 2).reshape(r.shape)
    yield "HW", "height and width exchanged", r.reshape(n, c, w, h).transpose(0, 1, 3, 2)
    yield "CHW_WHC", "stored as W, H, C", r.transpose(0, 3, 2, 1).reshape(r.shape)
    yield "VERTICAL_FLIP", "mirrored vertically", r[:, :, ::-1]
    yield "HORIZONTAL_FLIP", "mirrored horizontally", r[..., ::-1]
    yield "ROTATED", "rotated by 180 degrees", r[:, :, ::-1, ::-1]
    for block in (2, 4, 8, 16, 32, 64):
        if c % block == 0:
            yield (
                f"BLOCKS_OF_{block}",
                f"stored in blocks of {block} channels",
                r.reshape(n, c // block, block, h, w).transpose(0, 1, 3, 4, 2).reshape(r.shape),
            )
            yield (
                f"BLOCKS_OF_{block}",
                f"read in blocks of {block} channels",
                r.reshape(n, c // block, h, w, block).transpose(0, 1, 4, 2, 3).reshape(r.shape),
            )
    for axis, word in ((2, "row"), (3, "column"), (1, "channel")):
        for step in (1, -1):
            yield f"SHIFTED_{word.upper()}", f"shifted by {step:+d} {word}, cyclic", np.roll(r, step, axis=axis)


def _layouts(case: LayerCase) -> Iterator[Hypothesis]:
    for label, text, permuted in permutations(case.simulated):
        yield Hypothesis("LAYOUT", label, text, np.ascontiguousarray(permuted))
    if case.simulated.dtype in (np.int8, np.uint8):
        flipped = (case.simulated.view(np.uint8) ^ np.uint8(128)).view(case.simulated.dtype)
        yield Hypothesis("LAYOUT", "U8_S8", "signed and unsigned 8-bit exchanged (offset 128)", flipped)
    if case.simulated.itemsize > 1:
        swapped = case.simulated.byteswap()
        yield Hypothesis("LAYOUT", "BYTE_ORDER", "bytes of every element in reverse order", swapped)


@dataclass(frozen=True)
class WrongChannels:
    """The channels that differ, where others are right. r, g: simulated and observed with the channels first."""

    case: LayerCase
    r: Array
    g: Array
    wrong: Array

    @staticmethod
    def of(case: LayerCase) -> WrongChannels | None:
        """None if all channels differ, or a channel is one element."""
        r, g, bad = (np.moveaxis(a, case.channel_axis, 0) for a in (case.simulated, case.observed, case.bad))
        wrong = np.flatnonzero(bad.reshape(r.shape[0], -1).any(axis=1))
        return WrongChannels(case, r, g, wrong) if 0 < wrong.size < r.shape[0] and r[0].size > 1 else None

    @property
    def words(self) -> str:
        listed = ", ".join(map(str, self.wrong[:LISTED])) + (" ..." if self.wrong.size > LISTED else "")
        return f"channel{'s' if self.wrong.size > 1 else ''} {listed} of {self.r.shape[0]}"

    @property
    def zero(self) -> int:
        return int(self.case.attribute("zero_point") or 0) if self.case.integer else 0

    def placed(self, values: Array) -> Array:
        """The simulated output with other values in the wrong channels."""
        result = self.r.copy()
        result[self.wrong] = values
        return np.moveaxis(result, 0, self.case.channel_axis)


def _channels(case: LayerCase) -> Iterator[Hypothesis]:
    """Dead, exchanged and negated channels."""
    channels = WrongChannels.of(case)
    if channels is None:
        return
    r, wrong = channels.r, channels.wrong
    values = channels.g[wrong]
    flat = values.reshape(wrong.size, -1)
    if (flat == flat[:, :1]).all():
        label = "ZEROED" if (flat == 0).all() or (flat == channels.zero).all() else "CONSTANT"
        text = f"{channels.words} hold only {flat[0, 0]}: dead"
        fitted = 0 if label == "ZEROED" else int(wrong.size)
        yield Hypothesis("PER_CHANNEL", label, text, channels.placed(values), free_parameters=fitted)
    by_content = {r[c].tobytes(): c for c in range(r.shape[0])}
    sources = [by_content.get(v.tobytes()) for v in values]
    found = [s for s in sources if s is not None]
    if len(found) == wrong.size:
        pairs = ", ".join(f"{c} holds {s}" for c, s in list(zip(wrong, found, strict=True))[:LISTED])
        text = f"channels exchanged: {pairs}" + (" ..." if wrong.size > LISTED else "")
        yield Hypothesis("PER_CHANNEL", "SWAP", text, channels.placed(r[found]))
    text = f"{channels.words} with the other sign"
    if not case.integer:
        yield Hypothesis("PER_CHANNEL", "SIGN_FLIP", text, channels.placed(-r[wrong]))
        return
    if case.bounds[0] >= channels.zero:
        return  # every negative value would be cut off: the same as a dead channel
    negated = 2 * channels.zero - r[wrong].astype(np.int64)
    info = np.iinfo(r.dtype)
    for lower, upper in dict.fromkeys((case.bounds, (info.min, info.max), (-info.max, info.max))):
        result = channels.placed(np.clip(negated, lower, upper))
        yield Hypothesis("PER_CHANNEL", "SIGN_FLIP", text, result)
    wrapped = channels.placed(negated.astype(r.dtype))
    yield Hypothesis("PER_CHANNEL", "SIGN_FLIP", f"{text}, without saturation", wrapped)


def _channel_steps(case: LayerCase) -> Iterator[Hypothesis]:
    """One offset, or one factor, for each wrong channel."""
    channels = WrongChannels.of(case)
    if channels is None:
        return
    r, g, wrong, zero = channels.r, channels.g, channels.wrong, channels.zero
    free = np.moveaxis(case.free, case.channel_axis, 0)
    offsets: list[int] = []
    factors: list[float] = []
    for c in wrong:
        used = free[c]
        if not used.any():
            return
        d = g[c][used].astype(np.int64) - r[c][used]
        if (d == d.flat[0]).all():
            offsets.append(int(d.flat[0]))
        bottom, top = fitting_factors(r[c][used].astype(np.int64) - zero, g[c][used].astype(np.int64) - zero)
        if bottom <= top and np.isfinite(bottom):
            factors.append(simplest(bottom, top))
    wide = r[wrong].astype(np.int64)
    shape = (-1, *([1] * (r.ndim - 1)))
    low, high = case.bounds
    if len(offsets) == wrong.size:
        listed = ", ".join(f"{o:+d}" for o in offsets[:LISTED])
        text = f"{channels.words}: {listed} on every element"
        result = channels.placed(np.clip(wide + np.array(offsets).reshape(shape), low, high))
        yield Hypothesis("PER_CHANNEL", "OFFSET", text, result, free_parameters=int(wrong.size))
    if len(factors) == wrong.size:
        scale = np.array(factors, np.float64).reshape(shape)
        text = f"{channels.words} times {', '.join(f'{k:.6g}' for k in factors[:LISTED])}"
        for rule in ("half_away", "half_even", "half_up", "toward_zero", "floor"):
            result = channels.placed(np.clip(round_real((wide - zero) * scale, rule) + zero, low, high))
            yield Hypothesis("PER_CHANNEL", "SCALE", text, result, free_parameters=int(wrong.size))


def _wraps(case: LayerCase) -> Iterator[Hypothesis]:
    dtype = case.simulated.dtype
    if case.unclamped is not None:
        text = f"the {8 * dtype.itemsize}-bit output wraps in place of saturating"
        v, (low, high) = case.unclamped, case.bounds
        yield Hypothesis("WRAP", f"OUTPUT{8 * dtype.itemsize}", text, v.astype(dtype))
        yield Hypothesis("WRAP", f"OUTPUT{8 * dtype.itemsize}", text, np.clip(v.astype(dtype), low, high))
        for name, unit in (("int16", np.int16), ("uint16", np.uint16)):
            text = f"the value before the clamp wraps to {name}"
            yield Hypothesis(
                "WRAP",
                "BEFORE_CLAMP16",
                text,
                np.clip(v.astype(unit), low, high).astype(dtype),
            )
    if case.sums is None:
        return
    sums = case.sums
    for bits in (16, 20, 24, 32):
        half = 1 << (bits - 1)
        wrapped = (sums + half) % (2 * half) - half
        text = f"the accumulator wraps at {bits} bits"
        yield Hypothesis("WRAP", f"ACC{bits}", text, case.stage(wrapped))
        text = f"the accumulator saturates at {bits} bits"
        yield Hypothesis("SATURATION", f"ACC{bits}", text, case.stage(np.clip(sums, -half, half - 1)))


def _codes(case: LayerCase) -> Iterator[Hypothesis]:
    """Table errors of layers whose output depends only on the input's code."""
    x = case.operand(0)
    if case.node.op not in UNARY or x is None or x.shape != case.observed.shape or x.dtype.itemsize != 1:
        return
    codes = x.view(np.uint8).reshape(-1)
    table = case.constant(1)
    if table is not None and table.size == 256:
        for step in (1, -1, 128):
            text = f"table index {step:+d}" if step != 128 else "table index offset by 128"
            yield Hypothesis(
                "LUT",
                "INDEX_SHIFT",
                text,
                np.roll(table, -step)[codes].reshape(x.shape),
            )
    flat, plain = case.observed.reshape(-1), case.simulated.reshape(-1)
    learned = np.zeros(256, case.observed.dtype)
    learned[codes] = flat
    wrong = np.unique(codes[case.bad.reshape(-1)])
    expected = np.zeros(256, case.observed.dtype)
    expected[codes] = plain
    low = np.iinfo(x.dtype).min
    listed = ", ".join(
        f"{int(c) if low == 0 else int(np.int8(np.uint8(c).view(np.int8)))}: {expected[c]} -> {learned[c]}"
        for c in wrong[:LISTED]
    )
    text = f"{wrong.size} of 256 table entries differ ({listed}{' ...' if wrong.size > LISTED else ''})"
    yield Hypothesis("LUT", "ENTRIES", text, learned[codes].reshape(x.shape), free_parameters=int(wrong.size))
