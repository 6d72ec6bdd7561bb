"""Tensor archives as mappings: .npz (read tensor by tensor), .npy, and folders of .npy files."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.errors import DataError

Array = np.ndarray[Any, Any]


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
    """A folder of .npy files, one tensor each; the file name without its ending is the tensor's name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files = {f.stem: f for f in sorted(path.glob("*.npy"))}

    def __getitem__(self, name: str) -> Array:
        return read_npy(self._files[name])

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


def open_archive(path: Path) -> Mapping[str, Array]:
    """The tensors of an .npz, of an .npy (under its file name) or of a folder of .npy files, by name.

    Raises DataError for missing and broken files and for other kinds.
    """
    if path.is_dir():
        folder = FolderArchive(path)
        if not folder:
            raise DataError(f"{path}: a folder without .npy files")
        return folder
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if path.suffix == ".npz":
        return NpzArchive(path)
    if path.suffix == ".npy":
        return {path.stem: read_npy(path)}
    raise DataError(f"{path}: not a tensor archive (.npz, .npy); raw .dat files are compared by `bittrue verify`")
