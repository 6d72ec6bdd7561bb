"""Calibration and audit data: pictures, .npy, .npz, folders of them, LMDB folders, list files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict

from bittrue.calibrate.placement import place
from bittrue.calibrate.transform import Transform
from bittrue.containers.datum import Box, Sample
from bittrue.containers.image_list import ImageList
from bittrue.containers.lmdb_folder import LmdbFolder, is_lmdb
from bittrue.errors import DataError
from bittrue.graph.ir import Graph, TensorType

Array = np.ndarray[Any, Any]
PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".ppm"}


class Preprocess(BaseModel):
    """How a picture becomes a tensor: resize by `mode`, channel order, (value - mean) * scale, layout.

    mean and scale have one entry or one per channel, in the channel order given.
    """

    model_config = ConfigDict(extra="forbid")
    mode: Literal["stretch", "crop", "letterbox"] = "stretch"
    channels: Literal["RGB", "BGR", "GRAY"] | None = None
    mean: list[float] = [0.0]
    scale: list[float] = [1.0]
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    fill: int = 114


def open_picture(path: Path) -> Image.Image:
    """Raises DataError for files that are no picture."""
    try:
        image = Image.open(path)
        image.load()
    except (OSError, SyntaxError, Image.DecompressionBombError) as e:  # Pillow raises SyntaxError for broken PNG chunks
        raise DataError(f"{path}: not a readable picture ({e})") from e
    return image


def picture_size(type_: TensorType, options: Preprocess) -> tuple[int, int]:
    """(width, height) of an input that takes pictures."""
    h, w = type_.shape[2:] if options.layout == "NCHW" else type_.shape[1:3]
    return w, h


def picture(path: Path, type_: TensorType, options: Preprocess) -> Array:
    """One picture as a float32 batch of one. Raises DataError for unreadable files and shapes that are no picture."""
    if len(type_.shape) != 4:
        raise DataError(f"{path}: the input has shape {list(type_.shape)}, not that of a picture")
    channels_first = options.layout == "NCHW"
    w, h = picture_size(type_, options)
    c = type_.shape[1 if channels_first else 3]
    order = options.channels or ("GRAY" if c == 1 else "RGB")
    if type_.shape[0] != 1:
        raise DataError(f"{path}: a picture fills a batch of one, the input has a batch of {type_.shape[0]}")
    for key, values in (("mean", options.mean), ("scale", options.scale)):
        if len(values) not in (1, c):
            raise DataError(f"{path}: {key} has {len(values)} entries for {c} channels")
    if (order == "GRAY") != (c == 1):
        raise DataError(f"{path}: channel order {order} for an input of {c} channels")
    image = open_picture(path).convert("L" if order == "GRAY" else "RGB")
    placed = place(image.size, (w, h), options.mode)
    image = image.resize(placed.size, Image.Resampling.BILINEAR)
    if placed.size != (w, h):
        canvas = Image.new(image.mode, (w, h), options.fill if order == "GRAY" else (options.fill,) * 3)
        canvas.paste(image, (placed.left, placed.top))
        image = canvas
    pixels = np.asarray(image, np.float32).reshape(h, w, c)
    if order == "BGR":
        pixels = pixels[:, :, ::-1]
    pixels = (pixels - np.asarray(options.mean, np.float32)) * np.asarray(options.scale, np.float32)
    if channels_first:
        pixels = pixels.transpose(2, 0, 1)
    return np.ascontiguousarray(pixels[None], np.float32)


def pixels_of(path: Path, array: Array, options: Preprocess) -> Array:
    """Stored samples (N, C, ..) as the network takes them. Raises DataError for options that do not fit C."""
    channels = array.shape[1] if array.ndim > 1 else 1
    if options.channels == "RGB" and channels == 3:
        array = array[:, ::-1]
    for key, values in (("mean", options.mean), ("scale", options.scale)):
        if len(values) not in (1, channels):
            raise DataError(f"{path}: {key} has {len(values)} entries for {channels} channels")
    aligned = (-1, *[1] * (array.ndim - 2))
    mean, scale = (np.asarray(v, np.float32).reshape(aligned) for v in (options.mean, options.scale))
    return (array.astype(np.float32) - mean) * scale


@dataclass(frozen=True)
class Record:
    """One batch: tensors by input name, where it came from, labels of its samples if the data has them, and of
    samples that are AnnotatedDatum records their boxes."""

    key: str
    feeds: dict[str, Array]
    labels: Array | None = None
    boxes: tuple[tuple[Box, ...], ...] = ()

    @property
    def samples(self) -> int:
        """Size of the batch."""
        first = next(iter(self.feeds.values()), None)
        return int(first.shape[0]) if first is not None and first.ndim else 1


class Records:
    """Records of a data set, read when they are used."""

    def __init__(
        self,
        graph: Graph,
        path: Path | LmdbFolder | ImageList,
        options: Preprocess,
        limit: int | None = None,
        transform: Transform | None = None,
        *,
        any_shape: bool = False,
    ) -> None:
        """path: also what a data layer names. transform: how samples of an LMDB become inputs, in place of `options`.
        any_shape: arrays and LMDB records of other shapes than the network's come as they are, a batch each, for
        `ShapedGraphs`."""
        self.graph, self.options, self.limit, self.transform = graph, options, limit, transform
        self.any_shape = any_shape
        self._samples = None if isinstance(path, Path) else path
        path = path if isinstance(path, Path) else path.path
        if not path.exists():
            raise DataError(f"{path}: no such file or folder")
        self.root = path if path.is_dir() else path.parent
        self.labels: dict[Path, int] = {}
        self.files = self._files(path)
        if not self.files:
            raise DataError(f"{path}: no pictures, .npy or .npz files, and no LMDB")

    def key(self, file: Path) -> str:
        """How records of a file are called: by its path below the data's folder."""
        return file.relative_to(self.root).as_posix() if file.is_relative_to(self.root) else str(file)

    def _files(self, path: Path) -> Sequence[Path]:
        if self._samples or is_lmdb(path):
            return [path]
        known = {".npy", ".npz", *PICTURES}
        if path.is_dir():
            return sorted(p for p in path.rglob("*") if p.suffix.lower() in known)
        if path.suffix.lower() in known:
            return [path]
        try:
            lines = [line.strip() for line in path.read_text().splitlines()]
        except UnicodeDecodeError as e:
            raise DataError(f"{path}: neither a known data file nor a list of files") from e
        return [self._listed(line) for line in lines if line and not line.startswith("#")]

    def _listed(self, line: str) -> Path:
        """The file of a line `PATH` or, as convert_imageset reads it, `PATH LABEL`."""
        path, blank, label = line.rpartition(" ")
        if not blank or not label.isdecimal() or (self.root / line).exists():
            return self.root / line
        file = self.root / path
        self.labels[file] = int(label)
        return file

    def __iter__(self) -> Iterator[Record]:
        count = 0
        for file in self.files:
            for record in self._records(file):
                if self.limit is not None and count >= self.limit:
                    return
                count += 1
                yield record

    def _records(self, file: Path) -> Iterator[Record]:
        if self._samples or is_lmdb(file):
            yield from self._stacked(self._samples or LmdbFolder(file))
            return
        suffix = file.suffix.lower()
        if suffix in PICTURES:
            if len(self.graph.inputs) != 1:
                raise DataError(f"{file}: a picture feeds one input, the network has {len(self.graph.inputs)}")
            name = self.graph.inputs[0]
            label = self.labels.get(file)
            feeds = {name: picture(file, self.graph.types[name], self.options)}
            yield Record(self.key(file), feeds, None if label is None else np.asarray([label]))
            return
        try:
            loaded = np.load(file)
            arrays = {"": loaded} if isinstance(loaded, np.ndarray) else {k: loaded[k] for k in loaded.files}
        except Exception as e:  # numpy, zipfile and zlib raise unrelated types
            raise DataError(f"{file}: not a readable array file ({e})") from e
        labels = next((arrays.pop(k) for k in ("label", "labels") if k in arrays), None)
        inputs = self.graph.inputs
        if len(arrays) == 1 and len(inputs) == 1:
            arrays = {inputs[0]: next(iter(arrays.values()))}
        missing = [n for n in inputs if n not in arrays]
        if missing:
            raise DataError(f"{file}: no array '{missing[0]}'; it has {', '.join(arrays)}")
        yield from self._split(file, {n: arrays[n] for n in inputs}, labels)

    def _stacked(self, source: LmdbFolder | ImageList) -> Iterator[Record]:
        """Samples stacked to batches. A record is one sample (C, H, W), or as many as its first dimension says; mean,
        scale and `channels: RGB` (of blue, green, red as stored) apply, nothing is resized."""
        path = source.path
        if len(self.graph.inputs) != 1:
            raise DataError(f"{path}: an LMDB feeds one input, the network has {len(self.graph.inputs)}")
        name = self.graph.inputs[0]
        type_ = self.graph.types[name]
        shape = type_.shape
        keys: list[str] = []
        arrays: list[Array] = []
        samples: list[Sample] = []

        def batch() -> Record:
            known = [s.label for s in samples if s.label is not None]
            labels = np.asarray(known) if len(known) == len(samples) else None
            boxes = tuple(s.boxes for s in samples)
            return Record(keys[0], {name: np.ascontiguousarray(np.concatenate(arrays), type_.dtype)}, labels, boxes)

        for key, sample in source:
            array = self._input_of(path, key, sample.array, len(shape))
            other = array.shape[1:] != shape[1:] or len(array) > shape[0]
            if other and not self.any_shape:
                raise DataError(
                    f"{path}: record '{key}' has shape {list(sample.array.shape)}, '{name}' needs {list(shape)}"
                )
            if other and arrays:
                raise DataError(f"{path}: the samples before record '{key}' do not fill a batch of {shape[0]}")
            keys.append(key)
            arrays.append(array)
            samples += [sample] * len(array)
            if len(samples) < shape[0] and not other:
                continue
            if len(samples) > shape[0] and not other:
                raise DataError(f"{path}: records up to '{key}' do not fill batches of {shape[0]}")
            yield batch()
            keys, arrays, samples = [], [], []
        if arrays:
            raise DataError(f"{path}: the last {len(samples)} samples do not fill a batch of {shape[0]}")

    def _input_of(self, path: Path, key: str, stored: Array, rank: int) -> Array:
        """A record as samples (N, C, ..) of the network."""
        array = stored if stored.ndim == rank else stored[None]
        if self.transform is None:
            return pixels_of(path, array, self.options)
        try:
            return self.transform(array)
        except DataError as e:
            raise DataError(f"{path}: record '{key}': {e}") from e

    def _split(self, file: Path, arrays: dict[str, Array], labels: Array | None) -> Iterator[Record]:
        first = self.graph.types[self.graph.inputs[0]].shape
        whole = self.any_shape and arrays[self.graph.inputs[0]].shape[1:] != first[1:]
        batch = len(arrays[self.graph.inputs[0]]) if whole else first[0] if first else 1
        total = len(arrays[self.graph.inputs[0]]) if arrays[self.graph.inputs[0]].ndim else 1
        if not total or total % batch:
            raise DataError(f"{file}: {total} samples do not fill batches of {batch}")
        if labels is not None and len(labels) != total:
            raise DataError(f"{file}: {len(labels)} labels for {total} samples")
        for start in range(0, total, batch):
            feeds = {}
            for name, array in arrays.items():
                type_ = self.graph.types[name]
                part = array[start : start + batch] if array.ndim else array
                if part.shape != type_.shape and not whole:
                    raise DataError(f"{file}: '{name}' has shape {list(part.shape)}, expected {list(type_.shape)}")
                if part.dtype.kind not in "biuf":
                    raise DataError(f"{file}: '{name}' holds {part.dtype}, not numbers")
                feeds[name] = np.ascontiguousarray(part, type_.dtype)
                if feeds[name].dtype.kind in "iu" and np.any(feeds[name] != part):
                    raise DataError(f"{file}: '{name}' takes {type_.dtype} codes, the file holds other values")
            yield Record(f"{self.key(file)}[{start}]", feeds, None if labels is None else labels[start : start + batch])
