"""The data layer of a network: shape of its input, records, and random samples like them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.calibrate.data import Record, Records
from bittrue.calibrate.layer_data import LayerData
from bittrue.graph.ir import Graph
from bittrue.importers.caffe.data_layer import DataLayer, data_layer_of
from bittrue.vendor.sophgo.arguments import warn_on_stderr
from bittrue.vendor.sophgo.umodel.network import Network

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class DataSource:
    """Where the records of a network lie, and how they become its input. shape: of a batch."""

    layer: DataLayer
    shape: tuple[int, ...]

    @staticmethod
    def of(network: Network) -> DataSource:
        """Raises DataError for a network without a data layer, data that is not there, and records without shape."""
        data = _data_of(network)
        shape, notes = data.shape()
        for note in notes:
            warn_on_stderr(note)
        return DataSource(data.layer, shape)

    @property
    def path(self) -> Path:
        return self.layer.source.path

    @property
    def blob(self) -> str:
        """The input that the layer makes."""
        return self.layer.blob

    def transformed(self, array: Array, network: Network, key: str) -> Array:
        """The input of a network, whose data layer may have been changed, of one record."""
        return _data_of(network).transformed(array, key)

    def records(self, graph: Graph, network: Network, limit: int | None) -> Records:
        """Records of the graph of a network, of any size; `limit` of them at most."""
        return _data_of(network).records(graph, limit)

    def raw(self, random: bool, count: int) -> Iterator[Array]:
        """Samples as stored (N, C, H, W), before any transform: the first of the data, or random ones like it."""
        first = [sample.array for _, sample in islice(self.layer.source, 1 if random else count)]
        if not random:
            yield from (a if a.ndim == 4 else a[None] for a in first)
            return
        generator = np.random.default_rng(0)
        shape = first[0].shape if first[0].ndim == 4 else (1, *first[0].shape)
        for _ in range(count):
            yield generator.integers(0, 256, shape).astype(np.float32)


def _data_of(network: Network) -> LayerData:
    return LayerData.of(data_layer_of(network.proto.layer, network.prototxt))


def counted(records: Iterable[Record]) -> int:
    """How many records there are."""
    return sum(1 for _ in records)
