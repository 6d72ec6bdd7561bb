"""Runs a quantized graph on the C++ core."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import bittrue._core as _core
from bittrue.errors import DataError, UsageError
from bittrue.graph.ir import Graph, TensorType

Array = np.ndarray[Any, Any]


@dataclass
class RunResult:
    """outputs: graph outputs by name; trace: requested tensors by name; counters: node name -> tally of that layer
    (`values`, `saturated_low`, `saturated_high`, `overflowed`, `sum_min`, `sum_max`)."""

    outputs: dict[str, Array]
    trace: dict[str, Array] = field(default_factory=dict)
    counters: dict[str, dict[str, Any]] = field(default_factory=dict)


def pack(array: Array, type_: TensorType) -> Array:
    """The bytes of a tensor as the core stores them: row-major, 4-bit types two to a byte, low nibble first."""
    if type_.dtype in ("int4", "uint4"):
        nibbles = np.asarray(array).astype(np.int8).view(np.uint8).ravel() & 15
        if nibbles.size % 2:
            nibbles = np.append(nibbles, np.uint8(0))
        packed: Array = nibbles[0::2] | nibbles[1::2] << 4
        return packed
    return np.ascontiguousarray(array, type_.dtype).reshape(-1).view(np.uint8)


def defaults(path: str | None = None, threads: int | None = None) -> tuple[str, int]:
    """Instruction set path and threads of a session for which nothing else is said."""
    return path or os.environ.get("BITTRUE_PATH") or str(_core.best_path()), threads or os.cpu_count() or 1


class Session:
    """A quantized graph, loaded and planned.

    path: instruction set path, default from BITTRUE_PATH or the best of the machine. threads: default all cores.
    Results are identical for every path and number of threads.
    """

    def __init__(self, graph: Graph, *, path: str | None = None, threads: int | None = None) -> None:
        self.graph = graph
        self.path, self.threads = defaults(path, threads)
        if self.path not in _core.known_paths() or not _core.path_available(self.path):
            raise UsageError(f"path '{self.path}' is not available here; known: {', '.join(_core.known_paths())}")
        names = list(dict.fromkeys([*graph.constants, *graph.activations()]))
        self._index = {name: i for i, name in enumerate(names)}
        self._program = _core.Program(
            tensors=[(n, graph.types[n].dtype, list(graph.types[n].shape)) for n in names],
            constants={self._index[n]: pack(a, graph.types[n]) for n, a in graph.constants.items()},
            nodes=[
                (
                    node.op,
                    node.name,
                    [self._index[i] if i else -1 for i in node.inputs],
                    [self._index[o] for o in node.outputs],
                    {k: v for k, v in node.attrs.items() if k != "evidence"},
                )
                for node in graph.nodes
            ],
            inputs=[self._index[n] for n in graph.inputs],
            path=self.path,
            threads=self.threads,
        )

    @property
    def implementations(self) -> dict[str, str]:
        """Node name -> "reference" or "<kernel>/<path>"."""
        return {n.name: label for n, label in zip(self.graph.nodes, self._program.implementations, strict=True)}

    @property
    def arena_bytes(self) -> int:
        """Bytes of the planned activation memory."""
        return int(self._program.arena_bytes)

    @property
    def node_seconds(self) -> dict[str, float]:
        """Node name -> seconds that it took in the last run."""
        return {n.name: s for n, s in zip(self.graph.nodes, self._program.node_seconds, strict=False)}

    def run(
        self, feeds: Mapping[str, Array], *, trace: bool | Collection[str] = False, counters: bool = False
    ) -> RunResult:
        """Runs once. trace: True for all activations, or names. Raises DataError for wrong names, shapes or dtypes."""
        graph = self.graph
        unknown = set(feeds) - set(graph.inputs)
        if unknown:
            raise DataError(f"unknown input '{sorted(unknown)[0]}'; the network has {', '.join(graph.inputs)}")
        data = []
        for name in graph.inputs:
            if name not in feeds:
                raise DataError(f"input '{name}' is missing")
            array, type_ = np.asarray(feeds[name]), graph.types[name]
            if array.shape != type_.shape or array.dtype.name != type_.dtype:
                raise DataError(
                    f"input '{name}': {array.dtype.name} {list(array.shape)} given, "
                    f"{type_.dtype} {list(type_.shape)} expected"
                )
            data.append(pack(array, type_))
        traced = list(graph.activations()) if trace is True else list(trace or [])
        missing = [n for n in traced if n not in self._index]
        if missing:
            raise DataError(f"no tensor '{missing[0]}' to trace")
        wanted = [self._index[n] for n in dict.fromkeys([*traced, *graph.outputs])]
        tensors, tallies = self._program.run(data, wanted, counters)

        def array_of(name: str) -> Array:
            type_ = graph.types[name]
            values: Array = tensors[self._index[name]].view(type_.dtype).reshape(type_.shape)
            return values

        return RunResult(
            {n: array_of(n) for n in graph.outputs},
            {n: array_of(n) for n in traced},
            {n.name: dict(t) for n, t in zip(graph.nodes, tallies, strict=True)} if counters else {},
        )
