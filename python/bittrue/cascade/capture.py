"""Tensors of inferences as records of LMDB folders: in a cascade, what one network is fed with becomes the calibration
data of that network."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from bittrue.audit.networks import Network
from bittrue.containers.lmdb_folder import LmdbWriter
from bittrue.errors import DataError

Array = np.ndarray[Any, Any]


class Capture(AbstractContextManager["Capture"]):
    """New LMDB folders with one record per inference, of the tensor's whole shape, as `ExtractFeatures` of the
    vendor's framework makes them.

        with Capture({"data": Path("rnet_lmdb")}, limit=2000) as capture:
            detect(pnet, capture.of(rnet), onet, picture)

    The folders appear at the end of the block, complete or, if it ends by an exception, not at all. Raises DataError
    for folders that hold something, unless `force` replaces them, and at the end if there was no inference.
    """

    def __init__(self, folders: Mapping[str, Path], *, limit: int | None = None, force: bool = False) -> None:
        """folders: where each tensor goes. limit: most records; later inferences are not recorded."""
        if len(set(folders.values())) < len(folders):
            raise DataError("one folder for two tensors")
        self.limit, self.count = limit, 0
        self._stack = ExitStack()
        with self._stack:  # of several folders, a later one may be refused
            self._writers = {n: self._stack.enter_context(LmdbWriter(p, force=force)) for n, p in folders.items()}
            self._stack = self._stack.pop_all()

    @property
    def full(self) -> bool:
        return self.limit is not None and self.count >= self.limit

    def add(self, values: Mapping[str, Array], key: str = "") -> None:
        """One inference. Raises DataError for a tensor that is not among its values."""
        if self.full:
            return
        for name, writer in self._writers.items():
            if name not in values:
                raise DataError(f"no tensor '{name}' to capture; there are {', '.join(values)}")
            writer.put_array(key, values[name])
        self.count += 1

    def of(self, network: Network) -> Network:
        """The network, each of whose inferences is recorded: its inputs and outputs can be captured."""

        def run(feeds: Mapping[str, Array]) -> dict[str, Array]:
            results = network.run(feeds)
            self.add({**feeds, **results})
            return results

        return Network(network.name, run, network.outputs)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)
