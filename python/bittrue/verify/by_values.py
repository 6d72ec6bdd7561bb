"""The last resort for names: tensors of a dump recognised by shape and values, and only where nothing else fits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from bittrue.containers.archive import UNTYPED, typed
from bittrue.devices.bm1684.match import MARGIN, SURE, correlation
from bittrue.verify.layouts import PLAIN, Layout, LayoutError

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Pair:
    """A tensor of a dump and the tensor it is, by the Pearson correlation of the values in this layout."""

    dump: str
    tensor: str
    layout: Layout
    correlation: float

    @property
    def text(self) -> str:
        return (
            f"matched by values, not by name: dump '{self.dump}' is tensor '{self.tensor}' in layout "
            f"{self.layout.text}, correlation {self.correlation:.6f}"
        )


def match_by_values(
    dump: Mapping[str, Array], tensors: Mapping[str, Array], layouts: Iterable[Layout]
) -> tuple[list[Pair], list[str]]:
    """(pairs, remarks on tensors of the dump that fit several tensors or are fitted by several).

    A pair has the shape of the tensor in one of `layouts` and a correlation of at least 0.99, and no other tensor and
    no other dump comes within 0.005 of it. Constants correlate with nothing. All of `tensors` are read into memory.
    """
    layouts, tensors = list(layouts), dict(tensors)
    scores: dict[tuple[str, str], tuple[float, Layout]] = {}
    for d in dump:
        array = dump[d]
        for t in tensors:
            read = [(correlation(a, tensors[t]), layout) for layout, a in _readings(array, tensors[t], layouts)]
            if read and max(score for score, _ in read) >= SURE - MARGIN:
                scores[d, t] = max(read, key=lambda r: r[0])
    pairs, remarks = [], []
    for (d, t), (score, layout) in scores.items():
        own_best = max(s for (x, _), (s, _) in scores.items() if x == d)
        if score < max(SURE, own_best):
            continue
        near = [key for key, (s, _) in scores.items() if s > score - MARGIN and (key[0] == d) != (key[1] == t)]
        if near:
            rivals = ", ".join(other if name == d else name for name, other in near)
            remarks.append(f"dump '{d}' has the values of tensor '{t}', but so has {rivals}: not matched")
        else:
            pairs.append(Pair(d, t, layout, score))
    return pairs, remarks


def _readings(array: Array, tensor: Array, layouts: list[Layout]) -> list[tuple[Layout, Array]]:
    """(layout, the array as the tensor's shape) for every layout whose shape fits; flat arrays need a declared one."""
    readings: list[tuple[Layout, Array]] = []
    for layout in layouts:
        candidates = [array] if array.dtype != UNTYPED else []
        if not candidates:
            for dtype in dict.fromkeys((tensor.dtype, np.dtype(np.float32))):
                stored = layout.stored_shape(tensor.shape, dtype.itemsize)
                if array.size == prod(stored) * dtype.itemsize:
                    candidates.append(typed(array, dtype, stored))
        for candidate in candidates:
            if layout is PLAIN and candidate.shape != tensor.shape:
                continue
            try:
                readings.append((layout, layout.unpack(candidate, tensor.shape)[0]))
            except LayoutError:
                continue
    return readings
