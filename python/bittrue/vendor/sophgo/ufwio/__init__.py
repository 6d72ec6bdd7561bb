"""The vendor's Python package `ufwio`: LMDB folders of Datum records, written and read as its scripts do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from bittrue.containers.lmdb_folder import COMMIT_EVERY, MAP_BYTES, LmdbWriter, read_lmdb
from bittrue.errors import UsageError

Array = np.ndarray[Any, Any]

__all__ = ["LMDB_Dataset", "lmdb_data"]


class LMDB_Dataset(AbstractContextManager["LMDB_Dataset"]):  # noqa: N801 the vendor's name
    """A new LMDB folder. Nothing is written until `close`, or the end of a `with` block without an exception.

    Unlike the vendor's, a folder with data is not overwritten (DataError) unless `force` replaces it or `append` adds.
    """

    def __init__(
        self,
        path: str | Path,
        queue_size: int = COMMIT_EVERY,
        map_size: float = MAP_BYTES,
        *,
        queuesize: int | None = None,
        mapsize: float | None = None,
        force: bool = False,
        append: bool = False,
    ) -> None:
        """queue_size: records of one transaction. map_size: bytes at first, doubled when full. The spellings without
        underscore are the documented ones of other releases."""
        self._writer = LmdbWriter(
            Path(path),
            force=force,
            append=append,
            beside=True,
            map_bytes=int(map_size if mapsize is None else mapsize),
            pending=queue_size if queuesize is None else queuesize,
        )

    def put(
        self,
        images: Array | Sequence[Array],
        labels: int | Sequence[int] | None = None,
        keys: str | Sequence[str] | None = None,
    ) -> None:
        """An array is one record with its whole shape, a list is one record per array.

        labels, keys: one for an array, as many as arrays for a list. Types: int8, uint8, int16, uint16, int32, uint32,
        float32, float16. Raises UsageError for other numbers of labels or keys, UnsupportedError for other types.
        """
        single = isinstance(images, np.ndarray)
        arrays = [images] if single else list(images)
        for what, given in (("labels", labels), ("keys", keys)):
            if isinstance(given, Sequence) and not isinstance(given, str) and len(given) != len(arrays):
                raise UsageError(f"put: {len(given)} {what} for {len(arrays)} arrays")
            if not single and isinstance(given, int | str):
                raise UsageError(f"put: one of {what} for a list of arrays")
        for i, array in enumerate(arrays):
            label = labels[i] if isinstance(labels, Sequence) else labels
            key = keys if isinstance(keys, str) else keys[i] if keys is not None else ""
            self._writer.put_array(key, np.asarray(array), None if label is None else int(label))

    def close(self) -> None:
        """Puts the folder where it belongs. Raises DataError without any record."""
        self._writer.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, trace)


def lmdb_data(path: str | Path) -> Iterator[tuple[bytes, Array]]:
    """(key, array) of every record, in the order of the keys. Raises what `read_lmdb` raises."""
    for key, sample in read_lmdb(Path(path)):
        yield key.encode(), sample.array
