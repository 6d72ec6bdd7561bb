"""The records of a network's own data layer, as its `transform_param` makes inputs of them."""

from __future__ import annotations

from dataclasses import dataclass

from bittrue.calibrate.data import Preprocess, Records
from bittrue.calibrate.transform import Array, Transform
from bittrue.errors import DataError, UnsupportedError
from bittrue.graph.ir import Graph
from bittrue.importers.caffe.data_layer import DataLayer


@dataclass(frozen=True)
class LayerData:
    """A data layer and how its samples become inputs."""

    layer: DataLayer
    transform: Transform

    @staticmethod
    def of(layer: DataLayer) -> LayerData:
        """Raises DataError and UnsupportedError as `Transform` does, naming file and layer."""
        try:
            return LayerData(layer, Transform(layer.transform, layer.prototxt.parent))
        except (DataError, UnsupportedError) as e:
            raise type(e)(f"{layer.prototxt}: layer '{layer.name}': {e}") from e

    def transformed(self, array: Array, key: str) -> Array:
        """The input of one record. Raises DataError that names it."""
        try:
            return self.transform(array)
        except DataError as e:
            raise DataError(f"{self.layer.source.path}: record '{key}': {e}") from e

    def shape(self) -> tuple[tuple[int, ...], list[str]]:
        """The shape of the input by the first record and batch_size, and remarks for the user. Raises DataError without
        records."""
        first = next(iter(self.layer.source), None)
        if first is None:
            raise DataError(f"{self.layer.source.path}: holds no records")
        key, sample = first
        batch, notes = self.layer.batch(sample)
        shape = (batch, *self.transformed(sample.array, key).shape[-3:])
        return shape, [*self.layer.notes, *notes, *self.transform.notes]

    def records(self, graph: Graph, limit: int | None) -> Records:
        """Records for the inputs of a graph, of any size; `limit` of them at most."""
        return Records(graph, self.layer.source, Preprocess(), limit, self.transform, any_shape=True)
