"""Where the weights of a layer come from: a caffemodel, or a seeded random generator."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from bittrue.errors import DataError
from bittrue.importers.caffe.net import Layer

Array = np.ndarray[Any, Any]
Kind = Literal["weight", "bias", "gain", "variance", "slope", "one"]


class Blobs(Protocol):
    """Weights by layer and position."""

    def count(self, layer: Layer) -> int | None:
        """How many blobs the layer has; None where it may have any number."""

    def take(self, layer: Layer, position: int, shape: Sequence[int], kind: Kind) -> Array:
        """One blob as float32 of the wanted shape. kind: what it is for. Raises DataError if it is not there."""


def _significant(shape: Sequence[int]) -> list[int]:
    """The shape without leading ones: old files pad every blob to four dimensions."""
    first = next((i for i, d in enumerate(shape) if d != 1), len(shape))
    return list(shape[first:])


class TrainedBlobs:
    """Blobs of a caffemodel, matched by layer name."""

    def __init__(self, path: Path, blobs: Mapping[str, list[Array]]) -> None:
        self._path, self._blobs = path, blobs

    def count(self, layer: Layer) -> int:
        return len(self._blobs.get(layer.name, []))

    def take(self, layer: Layer, position: int, shape: Sequence[int], kind: Kind) -> Array:
        arrays = self._blobs.get(layer.name)
        where = f"{self._path}: layer '{layer.name}' ({layer.type})"
        if arrays is None:
            raise DataError(f"{where}: no weights under this name")
        if position >= len(arrays):
            raise DataError(f"{where}: blob {position} is missing, the file has {len(arrays)}")
        found = arrays[position]
        if _significant(found.shape) != _significant(shape):
            raise DataError(f"{where}: blob {position} has shape {list(found.shape)}, expected {list(shape)}")
        return found.reshape(shape)


class RandomBlobs:
    """Weights that keep activations in range: He's normal weights, gains and variances around one.

    Layers that share a parameter by name get the same values, as in Caffe.
    """

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._shared: dict[str, Array] = {}

    def count(self, layer: Layer) -> None:
        return None

    def take(self, layer: Layer, position: int, shape: Sequence[int], kind: Kind) -> Array:
        names = [p.name for p in layer.proto.param]
        shared = names[position] if position < len(names) else ""
        if shared in self._shared:
            return self._shared[shared].reshape(shape)
        value = self._draw(tuple(shape), kind)
        if shared:
            self._shared[shared] = value
        return value

    def _draw(self, shape: tuple[int, ...], kind: Kind) -> Array:
        random, f32 = self._random, np.float32
        match kind:
            case "weight":
                value = random.standard_normal(shape, f32) * f32(math.sqrt(2 / max(1, math.prod(shape[1:]))))
            case "bias":
                value = random.standard_normal(shape, f32) * f32(0.1)
            case "gain" | "variance":
                value = random.random(shape, f32) + f32(0.5)
            case "slope":
                value = random.random(shape, f32) * f32(0.5)
            case "one":
                value = np.ones(shape, f32)
        return np.asarray(value)
