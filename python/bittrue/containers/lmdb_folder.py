"""LMDB folders of Datum records: reading, and writing as a whole."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bittrue.containers.datum import Array, Sample, decode_datum, encode_datum
from bittrue.errors import DataError, UnsupportedError

DATA = "data.mdb"
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


def write_lmdb(
    path: Path,
    samples: Iterable[tuple[str, Array, int | None]],
    *,
    caffe: bool = False,
    force: bool = False,
) -> int:
    """Writes (key, array, label) records as a new LMDB folder and returns their number.

    Keys get a running number in front, so that the order stays. caffe: records in Caffe's own form. The folder appears
    complete or not at all. Raises DataError for a target that exists, unless `force` replaces it, and for no records.
    """
    lmdb = _library()
    if path.exists() and not force and (path.is_file() or any(path.iterdir())):
        raise DataError(f"{path}: exists already; --force replaces it")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        temporary.chmod(0o755)
        with lmdb.open(str(temporary), map_size=MAP_BYTES) as environment:
            count = _put_all(lmdb, environment, samples, caffe)
        if not count:
            raise DataError(f"{path}: no records")
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():
            path.unlink()
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return count


def _put_all(lmdb: Any, environment: Any, samples: Iterable[tuple[str, Array, int | None]], caffe: bool) -> int:
    pending: list[tuple[bytes, bytes]] = []
    count = 0

    def commit() -> None:
        while pending:
            try:
                with environment.begin(write=True) as transaction:
                    for key, record in pending:
                        transaction.put(key, record)
                pending.clear()
            except lmdb.MapFullError:
                environment.set_mapsize(2 * environment.info()["map_size"])

    for key, array, label in samples:
        pending.append((f"{count:010d}__{key}".encode(), encode_datum(array, label, caffe=caffe)))
        count += 1
        if len(pending) == COMMIT_EVERY:
            commit()
    commit()
    return count
