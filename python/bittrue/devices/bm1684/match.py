"""Which layer of the original model a tensor in device memory is, told by its values.

Vendor files name network inputs and outputs only. A tensor that the memory mover writes, often in several slices, is
put together again and compared with every layer output of the same number of elements.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bittrue.devices.bm1684.session import Command, Group
from bittrue.devices.bm1684.trace import read_operand

Array = np.ndarray[Any, Any]
WORD = 4
# A match is certain when its correlation is at least SURE and no other layer comes within MARGIN of it.
SURE, MARGIN, WEAK = 0.99, 0.005, 0.5


@dataclass
class DeviceTensor:
    """A dense tensor of 32-bit words in device memory, put together from the writes that made it."""

    address: int
    shape: tuple[int, int, int, int]  # of words; int8 tensors hold four batches in a word
    commands: list[Command]
    words: Array  # uint32, flat, n c h w
    written: Array = field(repr=False)

    @property
    def complete(self) -> bool:
        return bool(self.written.all())


@dataclass(frozen=True)
class Match:
    """A device tensor and the layer it is, by the Pearson correlation of the values. kind: float32, int8 or uint8."""

    tensor: DeviceTensor
    layer: str
    kind: str
    correlation: float
    runner_up: float

    @property
    def confidence(self) -> str:
        """`sure`, `likely` (another layer is as near) or `weak`."""
        if self.correlation < SURE:
            return "weak"
        return "sure" if self.correlation - self.runner_up >= MARGIN else "likely"


class TensorCollector:
    """Hook of a session's run that puts the tensors written to device memory together."""

    def __init__(self) -> None:
        self.tensors: list[DeviceTensor] = []
        self._open: list[DeviceTensor] = []

    def hook(self, group: Group, step: int) -> bool:
        """Never stops the run."""
        for k, access in enumerate(group.steps[step]["accesses"]):
            if access["write"] and access["space"] == "device" and access["bytes"] == WORD:
                self._add(group, step, k, access)
        return False

    def _add(self, group: Group, step: int, number: int, access: dict[str, Any]) -> None:
        n, c, h, w = access["shape"]
        strides = [s // WORD for s in access["strides"]]
        values = read_operand(group, step, number).view(np.uint32)
        if strides[3] != 1 or strides[2] < w or (n > 1 and strides[0] < c * h * w):
            return  # a scattered write, not a part of a dense tensor
        whole = n * max(strides[0], c * h * w)
        offsets = np.add.outer(
            np.add.outer(np.arange(n) * strides[0], np.arange(c) * strides[1]),
            np.add.outer(np.arange(h) * strides[2], np.arange(w)),
        )
        address, command = access["address"], group.command(step)
        for tensor in self._open:
            first = (address - tensor.address) // WORD
            if (
                first >= 0
                and first + int(offsets.max()) < tensor.words.size
                and tensor.words.size == whole
                and not tensor.written[first + offsets].any()
            ):
                tensor.words[first + offsets] = values
                tensor.written[first + offsets] = True
                tensor.commands.append(command)
                return
        end = address + whole * WORD
        self._open = [t for t in self._open if t.address + t.words.size * WORD <= address or t.address >= end]
        plane = strides[1] if c > 1 and strides[1] else whole // n
        rows = max(1, plane // strides[2])
        shape = (n, whole // n // plane, rows, plane // rows)
        fresh = DeviceTensor(address, shape, [command], np.zeros(whole, np.uint32), np.zeros(whole, bool))
        fresh.words[offsets], fresh.written[offsets] = values, True
        self._open.append(fresh)
        self.tensors.append(fresh)


def _readings(tensor: DeviceTensor, elements: int) -> dict[str, Array]:
    """The flat values of `elements` elements in the store modes that have that many."""
    readings: dict[str, Array] = {}
    if tensor.words.size == elements:
        readings["float32"] = tensor.words.view(np.float32)
    packed = tensor.words.size // tensor.shape[0]  # words of a packed group of four batches
    if packed and elements % packed == 0 and 0 < elements // packed <= 4 * tensor.shape[0]:
        batches = tensor.words.view(np.uint8).reshape(tensor.shape[0], packed, WORD).transpose(0, 2, 1)
        flat = np.ascontiguousarray(batches).reshape(-1, packed)[: elements // packed].reshape(-1)
        readings |= {"int8": flat.view(np.int8), "uint8": flat}
    return readings


def correlation(a: Array, b: Array) -> float:
    """Pearson correlation; 0 for constants and values that are not finite."""
    with np.errstate(all="ignore"):
        x, y = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            return 0.0
        x, y = x - x.mean(), y - y.mean()
        norm = float(np.sqrt((x @ x) * (y @ y)))
        return float(x @ y) / norm if norm and np.isfinite(norm) else 0.0


def match_tensors(tensors: list[DeviceTensor], layers: Mapping[str, Array]) -> list[Match]:
    """The best layer of each complete tensor that correlates with any; layers: name -> float values."""
    matches = []
    for tensor in tensors:
        if not tensor.complete:
            continue
        best: dict[str, tuple[float, str]] = {}
        for name, value in layers.items():
            scores = [(correlation(r, value), k) for k, r in _readings(tensor, value.size).items()]
            if scores:
                best[name] = max(scores)
        ranked = sorted(best.items(), key=lambda item: -item[1][0])
        if ranked and ranked[0][1][0] >= WEAK:
            runner_up = ranked[1][1][0] if len(ranked) > 1 else 0.0
            matches.append(Match(tensor, ranked[0][0], ranked[0][1][1], ranked[0][1][0], runner_up))
    return matches
