"""The data layer of a network: shape of its input, records, and random samples like them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.calibrate.data import Preprocess, Record, Records
from bittrue.calibrate.transform import Transform
from bittrue.errors import DataError, UnsupportedError
from bittrue.graph.ir import Graph
from bittrue.importers.caffe.data_layer import DataLayer, data_layer_of
from bittrue.vendor.sophgo.arguments import warn_on_stderr
from bittrue.vendor.sophgo.umodel.network import Network

Array = np.ndarray[Any, Any]


@dataclass
class DataSource:
    """Where the records of a network lie, and how they become its input.

    layer: its data layer, of which `transform_param` may change later. shape: of a batch.
    """

    layer: DataLayer
    shape: tuple[int, ...] = ()

    @staticmethod
    def of(network: Network) -> DataSource:
        """Raises DataError for a network without a data layer, data that is not there, and records without shape."""
        found = DataSource(data_layer_of(network.proto.layer, network.prototxt))
        first = next(iter(found.layer.source), None)
        if first is None:
            raise DataError(f"{found.path}: holds no records")
        key, sample = first
        batch, notes = found.layer.batch(sample)
        for note in (*found.layer.notes, *notes, *found.transform(network).notes):
            warn_on_stderr(note)
        found.shape = (batch, *found.transformed(sample.array, network, key).shape[-3:])
        return found

    @property
    def path(self) -> Path:
        return self.layer.source.path

    @property
    def blob(self) -> str:
        """The input that the layer makes."""
        return self.layer.blob

    def transform(self, network: Network) -> Transform:
        """How a record becomes the input of a network, whose data layer may have been changed."""
        layer = data_layer_of(network.proto.layer, network.prototxt)
        try:
            return Transform(layer.transform, layer.folder)
        except (DataError, UnsupportedError) as e:
            raise type(e)(f"{network.prototxt}: layer '{layer.name}': {e}") from e

    def transformed(self, array: Array, network: Network, key: str) -> Array:
        try:
            return self.transform(network)(array)
        except DataError as e:
            raise DataError(f"{self.path}: record '{key}': {e}") from e

    def records(self, graph: Graph, network: Network, limit: int | None) -> Records:
        """Records of the graph of a network, of any size; `limit` of them at most."""
        return Records(graph, self.layer.source, Preprocess(), limit, self.transform(network), any_shape=True)

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


def counted(records: Iterable[Record]) -> int:
    """How many records there are."""
    return sum(1 for _ in records)
