"""A network of a prototxt and a umodel whose every blob can be read, in float or INT8."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.audit.networks import Run, simulation
from bittrue.calibrate.float_runner import FloatRunner
from bittrue.errors import DataError
from bittrue.vendor.sophgo.umodel import Network, open_int8

Array = np.ndarray[Any, Any]
FP32, INT8 = "fp32", "int8"


class BlobNet:
    """Runs a network and keeps its blobs. mode: "fp32", with the float weights of any umodel, or "int8", which needs an
    INT8 umodel. It takes any shape of input: for another one than before it is lowered again."""

    def __init__(self, prototxt: Path, umodel: Path, mode: str) -> None:
        self._prototxt, self._umodel, self._mode = prototxt, umodel, mode
        self.network = Network.read(prototxt, umodel)
        self._shapes: dict[str, tuple[int, ...]] | None = None
        self._run: Run | None = None

    def _prepared(self, shapes: dict[str, tuple[int, ...]]) -> Run:
        """What runs the network at these shapes."""
        if self._run is not None and shapes == self._shapes:
            return self._run
        if self._mode == INT8:
            opened = open_int8(self._prototxt, self._umodel, shapes=shapes)
            self._run = simulation(opened.model, opened.model.graph.activations())
        else:
            graph = self.network.graph(shapes)
            self._run = FloatRunner(graph, list(dict.fromkeys([*graph.activations(), *graph.outputs]))).run
        self._shapes = shapes
        return self._run

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Blobs by name, in INT8 as the values that their codes stand for. Raises what lowering for these shapes
        raises."""
        arrays = {n: np.ascontiguousarray(a, np.float32) for n, a in feeds.items()}
        return {**arrays, **self._prepared({n: a.shape for n, a in arrays.items()})(arrays)}

    def blob(self, blobs: Mapping[str, Array], name: str) -> Array:
        """A blob of a run. Raises DataError for one that is merged into another layer's, or not known."""
        if name in blobs:
            return blobs[name]
        known = any(name in layer.top for layer in self.network.proto.layer)
        reason = "is merged into the result of a later layer" if known else "is not in the network"
        raise DataError(f"{self._prototxt}: blob '{name}' {reason}")
