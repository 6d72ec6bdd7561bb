"""The vendor's Python package `ufw`: networks of umodels in float and INT8, and `ufw.tools`, `ufw.cali`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.errors import UnsupportedError, UsageError
from bittrue.vendor.sophgo.ufw import tools
from bittrue.vendor.sophgo.ufw.net import FP32, INT8, BlobNet

Array = np.ndarray[Any, Any]
TRAIN, TEST = 0, 1
_mode = FP32


def set_mode_cpu() -> None:
    """Networks made from here on compute in float."""
    global _mode
    _mode = FP32


def set_mode_cpu_int8() -> None:
    """Networks made from here on compute in INT8, bit by bit as the chip."""
    global _mode
    _mode = INT8


class Net:
    """A network of a prototxt and a umodel, in the mode that is set."""

    def __init__(self, prototxt: str, umodel: str, phase: int = TEST) -> None:
        """Raises UnsupportedError for the phase TRAIN, DataError for broken files."""
        if phase != TEST:
            raise UnsupportedError("networks are only run in the phase TEST")
        self._net = BlobNet(Path(prototxt), Path(umodel), _mode)
        self._feeds: dict[str, Array] = {}
        self._blobs: dict[str, Array] = {}

    def fill_blob_data(self, blobs: Mapping[str, Array]) -> None:
        """Inputs by name, of any batch and size that the network takes."""
        self._feeds |= dict(blobs)

    def forward(self) -> None:
        """Runs the network on the filled inputs. Raises UsageError if nothing was filled."""
        if not self._feeds:
            raise UsageError("fill_blob_data comes before forward")
        self._blobs = self._net.run(self._feeds)

    def get_blob_data(self, name: str) -> Array:
        """A blob of the last run as float32; in INT8 the values that its codes stand for. Raises DataError for a blob
        that is not there, or merged into another."""
        if not self._blobs:
            raise UsageError("forward comes before get_blob_data")
        return self._net.blob(self._blobs, name)


__all__ = ["TEST", "TRAIN", "Net", "set_mode_cpu", "set_mode_cpu_int8", "tools"]
