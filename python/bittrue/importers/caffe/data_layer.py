"""The data layer of a network: where its records are and how they become inputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bittrue.errors import DataError
from bittrue.importers.caffe.net import active_layers
from bittrue.importers.caffe.read import read_prototxt

TYPES = ("Data", "AnnotatedData")


@dataclass(frozen=True)
class DataLayer:
    """source: the LMDB. transform: its TransformationParameter. folder: that of the prototxt."""

    source: Path
    transform: Any
    folder: Path


def read_data_layer(path: Path, *, allow_unknown_fields: bool = False) -> DataLayer:
    """The Data layer of phase TEST. A relative source is looked for in the working directory, then beside the prototxt.

    Raises DataError for a network without a Data layer, and for a source that is not there.
    """
    net = read_prototxt(path, allow_unknown_fields=allow_unknown_fields)
    layer = next((layer for layer in active_layers(net) if layer.type in TYPES), None)
    if layer is None:
        raise DataError(f"{path}: the network has no Data layer of phase TEST; --data is needed")
    source = layer.data_param.source
    found = next((p for p in (Path(source), path.parent / source) if source and p.exists()), None)
    if found is None:
        raise DataError(f"{path}: layer '{layer.name}': no data at '{source}'")
    return DataLayer(found, layer.transform_param, path.parent)
