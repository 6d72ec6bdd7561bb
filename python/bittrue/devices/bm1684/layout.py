"""Tensors between user layout (1N, row-major) and the store modes of device memory."""

from __future__ import annotations

import numpy as np

from bittrue.containers.build import IoTensor
from bittrue.containers.flat import Table
from bittrue.containers.refdata import from_bytes, to_bytes
from bittrue.errors import DataError, UnsupportedError

# gmem_stmode -> batches that share a 32-bit word
PACKED_BATCHES = {0: 1, 1: 2, 2: 4}


def _packing(table: Table, io: IoTensor) -> int:
    """Raises UnsupportedError for layouts without known meaning."""
    if table.pad_h:
        raise UnsupportedError(f"tensor '{io.name}': not implemented: first-convolution layout (pad_h {table.pad_h})")
    batches = PACKED_BATCHES.get(int(table.gmem_stmode))
    if batches is None:
        raise UnsupportedError(f"tensor '{io.name}': not implemented: store mode {table.gmem_stmode}")
    if batches > 1 and io.bytes * batches != 4 * int(np.prod(io.shape, dtype=np.int64)):
        raise DataError(f"tensor '{io.name}': {io.dtype} cannot be stored {batches}N")
    return batches


def device_bytes(table: Table, io: IoTensor) -> int:
    """Bytes of the tensor in device memory; packed batches are rounded up."""
    batches = _packing(table, io)
    if batches == 1:
        return io.bytes
    n = io.shape[0] if io.shape else 1
    return io.bytes // n * (-(-n // batches) * batches)


def to_device(table: Table, io: IoTensor, value: np.ndarray) -> np.ndarray:
    """uint8 bytes as the device stores them. Padded batches are zero. Raises what `to_bytes` raises."""
    batches = _packing(table, io)
    flat = np.frombuffer(to_bytes(io, value), np.uint8)
    if batches == 1:
        return flat
    n, width = io.shape[0], 4 // batches
    groups = -(-n // batches)
    padded = np.zeros((groups * batches, flat.size // n), np.uint8)
    padded[:n] = flat.reshape(n, -1)
    words = padded.reshape(groups, batches, -1, width).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(words).reshape(-1)


def from_device(table: Table, io: IoTensor, data: np.ndarray) -> np.ndarray:
    """Array of the tensor from its device bytes (`device_bytes` of them)."""
    batches = _packing(table, io)
    if batches > 1:
        n, width = io.shape[0], 4 // batches
        groups = -(-n // batches)
        words = data.reshape(groups, -1, batches, width).transpose(0, 2, 1, 3)
        data = np.ascontiguousarray(words).reshape(groups * batches, -1)[:n].reshape(-1)
    return from_bytes(io, data.tobytes())
