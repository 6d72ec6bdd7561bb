"""Memory layouts of dumps: named, written out exactly, and taken apart into the model's order.

A layout is an order of the axes, alignments of some of them, and at most one axis split into blocks whose inner index
is the innermost of all:

| text | memory |
|---|---|
| `NCHW` | the model's own order |
| `NHWC` | channels innermost |
| `4N`, `2N` | BM1684, 8 and 16 bits: [ceil(N/4)][C][H][W][4], innermost = n mod 4 |
| `NC/8` | blocks of 4, 8, 16 or 32 channels: [N][ceil(C/8)][H][W][8] |
| `NHWC:C=16` | channels padded to a multiple of 16 elements |
| `NCHW:W=32`, `NHWC:H=2,W=32` | rows and planes padded; several axes with commas |
| `NCHW:W=64b` | padded to a multiple of 64 bytes |
| `NHWC:C=bpu` | bytes to the next of 16, 32, 64, 128 or a multiple of 256 (Horizon) |

N is axis 0, C axis 1, the others are spatial: W the last, H before it, D before that. Alignments of axes that a tensor
does not have do not apply. Sources: BM1684 storage modes, Horizon's and SigmaStar's alignment rules.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from bittrue.errors import UsageError

Array = np.ndarray[Any, Any]
BLOCKS = (4, 8, 16, 32)
BPU_STEPS = (16, 32, 64, 128)
BPU_MULTIPLE = 256
SPATIAL = "DHW"
FORMS = "NCHW, NHWC, 4N, 2N, NC/4, NC/8, NC/16, NC/32, NHWC:C=16, NCHW:W=64b, NHWC:C=bpu"


class LayoutError(ValueError):
    """An array cannot be of this layout; the text says why."""


def round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


@dataclass(frozen=True)
class Alignment:
    """How long an axis is in memory. unit: elements, bytes (of the whole axis) or bpu."""

    multiple: int = 1
    unit: str = "elements"

    def padded(self, length: int, itemsize: int) -> int:
        """Elements in memory of an axis of `length` elements. Raises LayoutError if bytes split an element."""
        if self.unit == "elements":
            return round_up(length, self.multiple)
        size = length * itemsize
        if self.unit == "bytes":
            size = round_up(size, self.multiple)
        else:
            size = next((s for s in BPU_STEPS if size <= s), round_up(size, BPU_MULTIPLE))
        if size % itemsize:
            raise LayoutError(f"{self.multiple} bytes are no whole number of {itemsize}-byte elements")
        return size // itemsize


@dataclass(frozen=True)
class Layout:
    """See the module. block: (axis letter, size) of the split axis."""

    text: str
    channels_last: bool = False
    block: tuple[str, int] | None = None
    align: dict[str, Alignment] = field(default_factory=dict, hash=False)

    @property
    def plain(self) -> bool:
        """Whether it is the model's own order without padding."""
        return not (self.channels_last or self.block or self.align)

    @property
    def padded(self) -> bool:
        """Whether memory may hold more than the tensor."""
        return bool(self.block or self.align)

    def _padded_shape(self, shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
        letters = axis_letters(len(shape))
        lengths = []
        for letter, length in zip(letters, shape, strict=True):
            padded = self.align[letter].padded(length, itemsize) if letter in self.align else length
            if self.block and letter == self.block[0]:
                padded = round_up(padded, self.block[1])
            lengths.append(padded)
        return tuple(lengths)

    def _order(self, rank: int) -> list[int]:
        """Axes of the padded (and split) array in the order of memory; the inner part of a split axis is the last."""
        axes = [0, *range(2, rank), 1] if self.channels_last and rank > 1 else list(range(rank))
        return [*axes, rank] if self._splits(rank) is not None else axes

    def _splits(self, rank: int) -> int | None:
        if self.block is None:
            return None
        letters = axis_letters(rank)
        return letters.index(self.block[0]) if self.block[0] in letters else None

    def _split_shape(self, padded: tuple[int, ...]) -> tuple[int, ...]:
        """Shape with the split axis in two, the inner part right after the outer one."""
        axis = self._splits(len(padded))
        if axis is None:
            return padded
        size = self.block[1] if self.block else 1
        return (*padded[:axis], padded[axis] // size, size, *padded[axis + 1 :])

    def stored_shape(self, shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
        """Shape in memory of a tensor of `shape`."""
        rank = len(shape)
        split = self._split_shape(self._padded_shape(shape, itemsize))
        axis = self._splits(rank)
        if axis is None:
            return tuple(split[a] for a in self._order(rank))
        outer = [n for k, n in enumerate(split) if k != axis + 1]
        return tuple([*outer, split[axis + 1]][a] for a in self._order(rank))

    def pack(self, array: Array, fill: int = 0) -> Array:
        """The array as it lies in memory, padding filled with `fill`."""
        padded = np.full(self._padded_shape(array.shape, array.itemsize), fill, array.dtype)
        padded[tuple(slice(n) for n in array.shape)] = array
        rank, axis = array.ndim, self._splits(array.ndim)
        if axis is not None:
            padded = np.moveaxis(padded.reshape(self._split_shape(padded.shape)), axis + 1, -1)
        return np.ascontiguousarray(padded.transpose(self._order(rank)))

    def unpack(self, stored: Array, shape: tuple[int, ...]) -> tuple[Array, int]:
        """(the tensor of `shape` in the model's order, number of padding bytes that are not zero).

        stored: shaped as in memory, or flat. Raises LayoutError for other sizes and shapes.
        """
        rank = len(shape)
        wanted = self.stored_shape(shape, stored.itemsize)
        if stored.shape != wanted and not (stored.ndim == 1 and stored.size == prod(wanted)):
            raise LayoutError(
                f"layout {self.text} of a tensor {list(shape)} is {list(wanted)} in memory ({prod(wanted)} elements), "
                f"the dump has {list(stored.shape)} ({stored.size} elements)"
            )
        padded = stored.reshape(wanted).transpose(np.argsort(self._order(rank)))
        axis = self._splits(rank)
        if axis is not None:
            padded = np.moveaxis(padded, -1, axis + 1).reshape(self._padded_shape(shape, stored.itemsize))
        array = np.ascontiguousarray(padded[tuple(slice(n) for n in shape)])
        return array, nonzero_bytes(stored) - nonzero_bytes(array)

    def logical_shape(self, stored: tuple[int, ...]) -> tuple[int, ...] | None:
        """The tensor's shape from the shape in memory, where padding leaves no doubt."""
        if self.padded:
            return None
        return tuple(stored[a] for a in np.argsort(self._order(len(stored))))


def nonzero_bytes(array: Array) -> int:
    return int(np.count_nonzero(np.ascontiguousarray(array).view(np.uint8))) if array.size else 0


def axis_letters(rank: int) -> str:
    """One letter an axis: N, C, then up to three spatial ones; axes between C and D have the letter `_`."""
    spatial = max(0, rank - 2)
    return "NC"[:rank] + "_" * (spatial - len(SPATIAL)) + (SPATIAL[-spatial:] if spatial else "")


PLAIN = Layout("NCHW")


def parse_layout(text: str) -> Layout:
    """A layout by its text. Raises UsageError."""
    base, colon, rest = text.strip().partition(":")
    if base in ("NCHW", "NHWC"):
        channels_last, block = base == "NHWC", None
    elif base in ("4N", "2N"):
        channels_last, block = False, ("N", int(base[0]))
    elif (found := re.fullmatch(r"NC/(\d+)", base)) and int(found[1]) in BLOCKS:
        channels_last, block = False, ("C", int(found[1]))
    else:
        raise UsageError(f"layout '{text}' is not known; forms: {FORMS}")
    align = {}
    for part in rest.split(",") if colon else []:
        found = re.fullmatch(r"([NCDHW])=(?:([1-9]\d*)(b?)|bpu)", part)
        if not found or found[1] in align:
            raise UsageError(f"layout '{text}': '{part}' is no alignment; examples: C=16, W=64b, C=bpu")
        unit = "bpu" if found[2] is None else "bytes" if found[3] else "elements"
        align[found[1]] = Alignment(int(found[2] or 1), unit)
    return Layout(text.strip(), channels_last, block, align)
