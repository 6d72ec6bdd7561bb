"""The data layer of a network: where its records are, how many make a batch, and how they become inputs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bittrue.containers.datum import Sample
from bittrue.containers.image_list import ImageList
from bittrue.containers.lmdb_folder import LmdbFolder
from bittrue.containers.picture import NOTE, opencv
from bittrue.errors import DataError
from bittrue.importers.caffe.net import active_layers
from bittrue.importers.caffe.read import read_prototxt

TYPES = ("Data", "AnnotatedData", "ImageData")


@dataclass(frozen=True)
class DataLayer:
    """blob: the input it makes. source: its samples, an LMDB or a list of pictures. transform: its
    TransformationParameter. prototxt: its file. batch_size: as the prototxt says. notes: remarks for the
    user."""

    name: str
    blob: str
    source: LmdbFolder | ImageList
    transform: Any
    prototxt: Path
    batch_size: int
    notes: list[str] = field(default_factory=list)

    def batch(self, sample: Sample) -> tuple[int, list[str]]:
        """Size of an input batch, by one of its records, and remarks.

        A record with a shape of its own (newer LMDBs) is a whole batch if batch_size is 0; of Caffe's records
        batch_size ones are stacked. Other values are taken as they are meant, with a remark.
        """
        many = len(sample.array) if sample.array.ndim == 4 else 1
        where = f"layer '{self.name}': batch_size {self.batch_size}"
        if sample.shaped:
            if self.batch_size:
                return many * self.batch_size, [f"{where}: records with a shape are whole batches; 0 is meant for them"]
            return many, []
        if not self.batch_size:
            return many, [f"{where}: Caffe's records are single samples; taken as 1"]
        return many * self.batch_size, []


def data_layer_of(layers: Iterable[Any], prototxt: Path, source: LmdbFolder | None = None) -> DataLayer:
    """The first data layer among the layers of a NetParameter. source: in place of what the layer names.

    A relative source is looked for in the working directory, then beside the prototxt. Raises DataError for a network
    without a data layer, and for a source that is not there.
    """
    layer = next((layer for layer in layers if layer.type in TYPES), None)
    if layer is None:
        raise DataError(f"{prototxt}: the network has no Data layer; quantization needs one")
    pictures = layer.type == "ImageData"
    p = layer.image_data_param if pictures else layer.data_param
    if not layer.top:
        raise DataError(f"{prototxt}: layer '{layer.name}': makes no blob")
    notes = [
        f"layer '{layer.name}': {key} is for training, left out" for key in ("shuffle", "rand_skip") if getattr(p, key)
    ]

    def made(source: LmdbFolder | ImageList) -> DataLayer:
        return DataLayer(layer.name, layer.top[0], source, layer.transform_param, prototxt, p.batch_size, notes)

    if source is not None:
        return made(source)
    found = next((f for f in (Path(p.source), prototxt.parent / p.source) if p.source and f.exists()), None)
    if found is None:
        raise DataError(f"{prototxt}: layer '{layer.name}': no data at '{p.source}'")
    if not pictures:
        return made(LmdbFolder(found))
    if bool(p.new_height) != bool(p.new_width):
        raise DataError(f"{prototxt}: layer '{layer.name}': new_height and new_width are given together")
    size = (p.new_height, p.new_width) if p.new_height else None
    if size and opencv() is None:
        notes.append(NOTE)
    root = p.root_folder
    if root and not Path(root).is_dir() and (prototxt.parent / root).is_dir():
        root = f"{prototxt.parent / root}/"
    return made(ImageList(found, root, size, not p.is_color))


def read_data_layer(path: Path, *, allow_unknown_fields: bool = False) -> DataLayer:
    """The data layer of phase TEST of a prototxt. Raises what `data_layer_of` and `read_prototxt` raise."""
    net = read_prototxt(path, allow_unknown_fields=allow_unknown_fields)
    return data_layer_of(active_layers(net), path)
