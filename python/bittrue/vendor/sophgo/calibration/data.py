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
from bittrue.containers.lmdb_folder import read_lmdb
from bittrue.errors import DataError, UnsupportedError
from bittrue.graph.ir import Graph
from bittrue.importers.caffe.data_layer import TYPES
from bittrue.vendor.sophgo.umodel.network import Network

Array = np.ndarray[Any, Any]


@dataclass
class DataSource:
    """Where the records of a network lie, and how they become its input.

    layer: the data layer, of which `transform_param` may change later. blob: the input it makes. shape: of a batch.
    """

    network: Network
    path: Path
    blob: str
    shape: tuple[int, ...]

    @staticmethod
    def of(network: Network) -> DataSource:
        """Raises DataError for a network without a data layer, data that is not there, and records without shape."""
        layer = _data_layer(network)
        source = layer.data_param.source
        places = (Path(source), network.prototxt.parent / source)
        path = next((p for p in places if source and p.exists()), None)
        if path is None:
            raise DataError(f"{network.prototxt}: layer '{layer.name}': no data at '{source}'")
        first = next(iter(read_lmdb(path)), None)
        if first is None:
            raise DataError(f"{path}: holds no records")
        found = DataSource(network, path, layer.top[0], ())
        key, sample = first
        array = found.transformed(sample.array, network, key)
        stacked = array if array.ndim == 4 else array[None]
        batch = max(1, layer.data_param.batch_size)
        found.shape = (stacked.shape[0] * batch if stacked.shape[0] == 1 else stacked.shape[0], *stacked.shape[1:])
        return found

    def transform(self, network: Network) -> Transform:
        """How a record becomes the input of a network, whose data layer may have been changed."""
        layer = _data_layer(network)
        try:
            return Transform(layer.transform_param, network.prototxt.parent)
        except (DataError, UnsupportedError) as e:
            raise type(e)(f"{network.prototxt}: layer '{layer.name}': {e}") from e

    def transformed(self, array: Array, network: Network, key: str) -> Array:
        try:
            return self.transform(network)(array)
        except DataError as e:
            raise DataError(f"{self.path}: record '{key}': {e}") from e

    def records(self, graph: Graph, network: Network, limit: int | None) -> Records:
        """Records of the graph of a network; `limit` of them at most."""
        return Records(graph, self.path, Preprocess(), limit, self.transform(network))

    def raw(self, random: bool, count: int) -> Iterator[Array]:
        """Samples as stored (N, C, H, W), before any transform: the first of the data, or random ones like it."""
        first = [sample.array for _, sample in islice(read_lmdb(self.path), 1 if random else count)]
        if not random:
            yield from (a if a.ndim == 4 else a[None] for a in first)
            return
        generator = np.random.default_rng(0)
        shape = first[0].shape if first[0].ndim == 4 else (1, *first[0].shape)
        for _ in range(count):
            yield generator.integers(0, 256, shape).astype(np.float32)


def _data_layer(network: Network) -> Any:
    layer = next((layer for layer in network.proto.layer if layer.type in TYPES), None)
    if layer is None:
        raise DataError(f"{network.prototxt}: the network has no Data layer; quantization needs one")
    return layer


def counted(records: Iterable[Record]) -> int:
    """How many records there are."""
    return sum(1 for _ in records)
