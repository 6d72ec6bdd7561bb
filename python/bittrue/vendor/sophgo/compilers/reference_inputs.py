"""What the reference inputs hold: the option descs, `[[index, dtype, low, high], ..]`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bittrue.errors import UsageError
from bittrue.graph.ir import Graph

Array = np.ndarray[Any, Any]
TYPES = {
    "fp32": "float32", "float": "float32", "float32": "float32", "int64": "int64", "int32": "int32", "int": "int32",
    "uint8": "uint8", "int8": "int8",
}  # fmt: skip
GROUP = re.compile(r"[\[(]([^\[\]()]*)[\])]")


@dataclass(frozen=True)
class Desc:
    """Values from low up to, without, high."""

    dtype: str = "float32"
    low: float = 0.0
    high: float = 1.0

    def draw(self, shape: Sequence[int], random: np.random.Generator) -> Array:
        """Random values, uniform in the range."""
        if self.dtype == "float32":
            return (self.low + (self.high - self.low) * random.random(shape)).astype(np.float32)
        return random.integers(int(self.low), int(self.high), shape).astype(self.dtype)


def parse_descs(text: str) -> dict[int, Desc]:
    """Descriptions by the index of the input. Raises UsageError."""
    groups = GROUP.findall(text)
    if not groups or GROUP.sub("", text).strip(" [](),;"):
        raise UsageError(f"--descs={text}: expected [[index, type, low, high], ..]")
    descs = {}
    for group in groups:
        words = [w.strip().strip("'\"") for w in group.split(",")]
        try:
            index, dtype, low, high = int(words[0]), TYPES[words[1]], float(words[2]), float(words[3])
            if len(words) != 4:
                raise ValueError
        except (ValueError, IndexError, KeyError):
            types = ", ".join(TYPES)
            raise UsageError(f"--descs: [{group}]: expected index, type, low, high; types: {types}") from None
        if not low < high:
            raise UsageError(f"--descs: [{group}]: the range is empty; {words[3]} is not above {words[2]}")
        if index in descs:
            raise UsageError(f"--descs: input {index} is described twice")
        descs[index] = Desc(dtype, low, high)
    return descs


def reference_inputs(graph: Graph, descs: Mapping[int, Desc], seed: int) -> dict[str, Array]:
    """Random inputs of a network, in the types of the graph or in float where it quantizes them itself.

    Raises UsageError for a description of an input that the network does not have, or of another type.
    """
    if extra := [k for k in descs if not 0 <= k < len(graph.inputs)]:
        raise UsageError(f"--descs: no input {extra[0]}; the model has {len(graph.inputs)} ({', '.join(graph.inputs)})")
    random = np.random.default_rng(seed)
    feeds = {}
    for k, name in enumerate(graph.inputs):
        type_ = graph.types[name]
        # without a description: floats of the default range, and for integers, where it would be constant, 0 or 1
        desc = descs.get(k, Desc() if type_.dtype == "float32" else Desc(type_.dtype, 0, 2))
        if desc.dtype != type_.dtype:
            raise UsageError(f"--descs: input {k} ('{name}') is {type_.dtype}, not {desc.dtype}")
        feeds[name] = desc.draw(type_.shape, random)
    return feeds
