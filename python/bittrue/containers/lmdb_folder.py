"""LMDB folders of Datum records: reading, and writing as a whole, record by record or at once."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from bittrue.containers.datum import Array, Sample, decode_datum, encode_datum
from bittrue.errors import DataError, UnsupportedError

DATA = "data.mdb"
LEVELDB = "CURRENT"  # a file that every LevelDB folder has
MAP_BYTES = 20_000_000  # the map doubles when it is full
COMMIT_EVERY = 100


def is_lmdb(path: Path) -> bool:
    """Whether a path is an LMDB folder, or the data file of one."""
    return (path / DATA).is_file() or (path.is_file() and path.suffix == ".mdb")


def _library() -> Any:
    try:
        import lmdb
    except ImportError as e:
        raise UnsupportedError("LMDB folders need the package lmdb: pip install 'bittrue[lmdb]'") from e
    return lmdb


def read_lmdb(path: Path) -> Iterator[tuple[str, Sample]]:
    """(key, record) of an LMDB folder or its data file, in the order of the keys; nothing is locked or written.

    Raises DataError that names the file and the key for broken data, UnsupportedError without the package.
    """
    lmdb = _library()
    if path.is_dir() and (path / LEVELDB).is_file():
        raise UnsupportedError(f"{path}: a LevelDB; only LMDB folders are read")
    if not is_lmdb(path):
        raise DataError(f"{path}: no LMDB there")
    try:
        with lmdb.open(str(path), readonly=True, lock=False, subdir=path.is_dir()) as environment:
            # Pages beyond the end of a cut off file would end the process, not raise an error.
            pages = environment.info()["last_pgno"] + 1
            if (path / DATA if path.is_dir() else path).stat().st_size < pages * environment.stat()["psize"]:
                raise DataError(f"{path}: cut off")
            with environment.begin() as transaction:
                for key, record in transaction.cursor():
                    name = key.decode(errors="replace")
                    try:
                        yield name, decode_datum(bytes(record))
                    except DataError as e:
                        raise DataError(f"{path}: record '{name}': {e}") from e
    except lmdb.Error as e:
        raise DataError(f"{path}: not a readable LMDB ({e})") from e


@dataclass(frozen=True)
class LmdbFolder:
    """The samples of an LMDB; iterating raises what `read_lmdb` raises."""

    path: Path

    def __iter__(self) -> Iterator[tuple[str, Sample]]:
        return read_lmdb(self.path)


class LmdbWriter(AbstractContextManager["LmdbWriter"]):
    """A new LMDB folder, written record by record; it appears when the writer is closed, complete or not at all.

    In a `with` block that ends by an exception, nothing is written. Raises DataError for a target that exists, unless
    `force` replaces it, and on closing without any record; UnsupportedError without the package.
    """

    def __init__(
        self,
        path: Path,
        *,
        force: bool = False,
        append: bool = False,
        beside: bool = False,
        map_bytes: int = MAP_BYTES,
        pending: int = COMMIT_EVERY,
    ) -> None:
        """append: after the records of a folder that is there. beside: other files may be in the folder, and stay.
        map_bytes: first size of the map. pending: records that one transaction takes."""
        self._lmdb = _library()
        self.path, self.count, self._beside = path, 0, beside or append
        taken = path.is_file() or (path / DATA).exists() or (path.is_dir() and not beside and any(path.iterdir()))
        if taken and not force and not append:
            raise DataError(f"{path}: exists already; --force replaces it")
        self._most_pending, self._pending = max(1, pending), list[tuple[bytes, bytes]]()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        self._temporary.chmod(0o755)
        if append and taken:
            self.count = sum(1 for _ in read_lmdb(path))  # which refuses what is no LMDB
            shutil.copyfile(path / DATA, self._temporary / DATA)
        self._environment = self._lmdb.open(str(self._temporary), map_size=map_bytes)

    def put(self, key: str, record: bytes) -> None:
        """Adds a record. Keys are not repeated and come in ascending order."""
        self._pending.append((key.encode(), record))
        self.count += 1
        if len(self._pending) >= self._most_pending:
            self._commit()

    def put_array(self, key: str, array: Array, label: int | None = None, *, caffe: bool = False) -> None:
        """Adds an array as `encode_datum` writes it. A running number before its key keeps the order."""
        self.put(f"{self.count:010d}__{key}", encode_datum(array, label, caffe=caffe))

    def _commit(self) -> None:
        while self._pending:
            try:
                with self._environment.begin(write=True) as transaction:
                    for key, record in self._pending:
                        transaction.put(key, record)
                self._pending.clear()
            except self._lmdb.MapFullError:
                self._environment.set_mapsize(2 * self._environment.info()["map_size"])

    def close(self) -> None:
        """Ends the folder and puts it where it belongs; closing twice does nothing."""
        if not self._temporary.exists():
            return
        try:
            self._commit()
            self._environment.close()
            if not self.count:
                raise DataError(f"{self.path}: no records")
            if self._beside and self.path.is_dir():
                for file in self._temporary.iterdir():
                    os.replace(file, self.path / file.name)
                return
            if self.path.is_dir():
                shutil.rmtree(self.path)
            elif self.path.exists():
                self.path.unlink()
            os.replace(self._temporary, self.path)
        finally:
            self.discard()

    def discard(self) -> None:
        """Ends without writing anything."""
        self._environment.close()
        shutil.rmtree(self._temporary, ignore_errors=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()


def write_lmdb(
    path: Path,
    samples: Iterable[tuple[str, Array, int | None]],
    *,
    caffe: bool = False,
    force: bool = False,
) -> int:
    """Writes (key, array, label) records as a new LMDB folder and returns their number; see `LmdbWriter`.

    caffe: records in Caffe's own form.
    """
    with LmdbWriter(path, force=force) as writer:
        for key, array, label in samples:
            writer.put_array(key, array, label, caffe=caffe)
    return writer.count
