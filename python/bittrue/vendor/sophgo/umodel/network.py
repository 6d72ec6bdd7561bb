"""A network of Sophgo's flow: a NetParameter and the float weights of its layers, in memory and in files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import text_format

from bittrue.errors import DataError, UnsupportedError, UsageError
from bittrue.graph.ir import Graph
from bittrue.importers.caffe.blobs import TrainedBlobs
from bittrue.importers.caffe.convert import graph_of_net
from bittrue.importers.caffe.net import active_layers
from bittrue.importers.caffe.read import read_caffemodel, read_prototxt
from bittrue.importers.caffe.schema import new_message

Array = np.ndarray[Any, Any]


@dataclass
class Network:
    """proto: NetParameter whose layers all run in the TEST phase. weights: float blobs by layer name. prototxt,
    weight_file: where they were read, for messages and relative paths."""

    proto: Any
    weights: dict[str, list[Array]]
    prototxt: Path
    weight_file: Path
    notes: list[str] = field(default_factory=list)

    @staticmethod
    def read(prototxt: Path, weights: Path, *, allow_unknown_fields: bool = False) -> Network:
        """A prototxt and its caffemodel or fp32umodel. Raises DataError for broken files, and for weights that are not
        finite, naming the layer."""
        proto = read_prototxt(prototxt, allow_unknown_fields=allow_unknown_fields)
        active = active_layers(proto)
        kept = new_message("NetParameter")
        kept.CopyFrom(proto)
        kept.ClearField("layer")
        for layer in active:
            added = kept.layer.add()
            added.CopyFrom(layer)
            added.ClearField("blobs")
        blobs = read_caffemodel(weights)
        for name, arrays in blobs.items():
            for position, array in enumerate(arrays):
                if not np.all(np.isfinite(array)):
                    raise DataError(f"{weights}: layer '{name}': blob {position} holds NaN or infinity")
        names = {layer.name for layer in kept.layer}
        return Network(kept, {n: b for n, b in blobs.items() if n in names}, prototxt, weights)

    def copy(self) -> Network:
        """An independent structure over the same arrays, which nothing changes in place."""
        proto = new_message("NetParameter")
        proto.CopyFrom(self.proto)
        return Network(proto, {n: list(b) for n, b in self.weights.items()}, self.prototxt, self.weight_file)

    def layer(self, name: str) -> Any:
        """The LayerParameter of a name. Raises KeyError."""
        return next(layer for layer in self.proto.layer if layer.name == name)

    def graph(self, shapes: Mapping[str, tuple[int, ...]] | None = None) -> Graph:
        """The float graph, as the importer makes it. Raises what `graph_of_net` raises, with the files' names."""
        try:
            return graph_of_net(self.proto, TrainedBlobs(self.weight_file, self.weights), input_shapes=shapes)
        except (DataError, UnsupportedError, UsageError) as e:
            named = str(e).startswith(f"{self.weight_file}:")
            raise type(e)(str(e) if named else f"{self.prototxt}: {e}") from e

    def prototxt_text(self) -> str:
        """The structure as a prototxt."""
        return str(text_format.MessageToString(self.proto, use_short_repeated_primitives=True))

    def float_umodel(self) -> Any:
        """The weights as a Umodel message with float blobs: what a caffemodel of the same layers holds."""
        model = new_message("Umodel")
        model.name = self.proto.name
        for layer in self.proto.layer:
            entry = model.layer.add(name=layer.name, type=layer.type, bottom=layer.bottom, top=layer.top)
            for array in self.weights.get(layer.name, []):
                blob = entry.blobs.add()
                blob.shape.dim.extend(array.shape)
                blob.data.extend(array.ravel().tolist())
        return model
