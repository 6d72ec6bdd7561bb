"""Tensor archives as mappings: .npz (read tensor by tensor), .npy, raw and text dumps, and folders of these.

Raw files say neither type nor shape: they are arrays of `UNTYPED` bytes until something else does (`typed`).
"""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.containers.text_dump import numbers, read_text_dump
from bittrue.errors import DataError

Array = np.ndarray[Any, Any]
UNTYPED = np.dtype("V1")
RAW = (".dat", ".bin", ".raw")
TENSOR_FILES = (".npy", *RAW, ".txt")


class NpzArchive(Mapping[str, Array]):
    """An .npz whose arrays are read when they are asked for, so that it may be larger than memory.

    Raises DataError for files that are no .npz and for names that stand twice.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile, EOFError) as e:
            raise DataError(f"{path} is not a readable .npz file: {e}") from e
        members = [n for n in self._zip.namelist() if n.endswith(".npy")]
        twice = [n for n, k in Counter(members).items() if k > 1]
        if twice:
            raise DataError(f"{path}: array '{twice[0].removesuffix('.npy')}' stands twice")
        self._members = {n.removesuffix(".npy"): n for n in members}

    def __getitem__(self, name: str) -> Array:
        member = self._members[name]
        try:
            content = io.BytesIO(self._zip.read(member))
            array: Array = np.lib.format.read_array(content, allow_pickle=False)
            return array
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, NotImplementedError) as e:
            raise DataError(f"{self.path}: array '{name}' is not readable: {e}") from e

    def __contains__(self, name: object) -> bool:  # the inherited one would read the array
        return name in self._members

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)


class FolderArchive(Mapping[str, Array]):
    """A folder, sub-folders included, with one file a tensor: .npy, raw (.dat, .bin, .raw) or text (.txt).

    A tensor's name is the path of its file below the folder, without the ending. skipped: the other files, by the same
    kind of path; hidden ones do not count. Raises DataError if two files give one name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files: dict[str, Path] = {}
        self.skipped: list[str] = []
        for file in sorted(f for f in path.rglob("*") if f.is_file()):
            relative = file.relative_to(path)
            if any(part.startswith(".") for part in relative.parts):
                continue
            if file.suffix.lower() not in TENSOR_FILES:
                self.skipped.append(relative.as_posix())
                continue
            name = relative.with_suffix("").as_posix()
            if name in self._files:
                raise DataError(f"{path}: tensor '{name}' stands twice: {self._files[name].name} and {file.name}")
            self._files[name] = file

    def __getitem__(self, name: str) -> Array:
        return read_tensor(self._files[name])

    def __contains__(self, name: object) -> bool:
        return name in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def read_npy(path: Path) -> Array:
    """The array of an .npy file, without pickles. Raises DataError."""
    try:
        array: Array = np.load(path, allow_pickle=False)
        return array
    except (OSError, ValueError, EOFError) as e:
        raise DataError(f"{path}: not a readable .npy ({e})") from e


def read_tensor(path: Path) -> Array:
    """The tensor of an .npy, the `UNTYPED` bytes of other files. Raises DataError."""
    if path.suffix.lower() == ".npy":
        return read_npy(path)
    try:
        data = path.read_bytes()
    except OSError as e:
        raise DataError(f"cannot read {path}: {e.strerror or e}") from e
    return np.frombuffer(data, UNTYPED)


def typed(data: Array, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    """Untyped bytes as a tensor: a text dump of that type and shape, raw if the size fits exactly, else plain numbers.

    Raises ValueError with both sizes (or types and shapes) if none fits, DataError for a text dump that is broken.
    """
    content = data.tobytes()
    dump = read_text_dump(content)
    if dump is not None:
        four = shape + (1,) * (4 - len(shape))  # the tester writes no rank
        if dump.dtype != dtype or dump.shape not in (shape, four):
            raise ValueError(f"{dtype} {list(shape)} is wanted, the text dump is {dump.dtype} {list(dump.shape)}")
        return dump.reshape(shape)
    needed = prod(shape) * dtype.itemsize
    if data.size == needed:
        return np.frombuffer(content, dtype).reshape(shape)
    values = numbers(content, dtype)
    if values is not None and values.size == prod(shape):
        return values.reshape(shape)
    found = f"{data.size} bytes" if values is None else f"{values.size} numbers as text"
    raise ValueError(f"{dtype} {list(shape)} needs {needed} bytes or {prod(shape)} numbers, the file has {found}")


def self_described(data: Array) -> Array | None:
    """The tensor of a text dump, None for bytes that do not say what they are."""
    return read_text_dump(data.tobytes())


def open_archive(path: Path) -> Mapping[str, Array]:
    """The tensors of an .npz, of one file (under its file name) or of a folder of such files, by name.

    Raises DataError for missing and broken files and for other kinds.
    """
    if path.is_dir():
        folder = FolderArchive(path)
        if not folder:
            raise DataError(f"{path}: a folder without tensors ({', '.join(TENSOR_FILES)})")
        return folder
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if path.suffix.lower() == ".npz":
        return NpzArchive(path)
    if path.suffix.lower() in TENSOR_FILES:
        return {path.stem: read_tensor(path)}
    raise DataError(f"{path}: not a tensor archive (.npz, {', '.join(TENSOR_FILES)}, or a folder of such files)")
