"""Tables in L2 and the store modes of device memory."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bittrue._core as _core
from bittrue.containers.build import IoTensor
from bittrue.devices.bm1684.layout import device_bytes, from_device, to_device
from bittrue.errors import DataError, UnsupportedError
from tests.devices.streams import tensor_table

Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def l2() -> Array:
    return _core.bm1684.Machine(0x100000000, 16, 1, "best").l2()


def floats(l2: Array, offset: int, count: int) -> Array:
    return l2[offset : offset + 4 * count].view(np.float32)


def test_tables_of_integers_and_exponentials(l2: Array) -> None:
    whole = [i if i <= 88 else i - 256 if i >= 153 else None for i in range(256)]
    np.testing.assert_array_equal(floats(l2, 0x300000, 256), [0 if w is None else w for w in whole])
    expected = np.array([0.0 if w is None else math.exp(w) for w in whole]).astype(np.float32)
    np.testing.assert_array_equal(floats(l2, 0x300400, 256), expected)
    assert 0 < floats(l2, 0x300400, 256)[153] < np.finfo(np.float32).tiny  # exp(-103) is kept as a subnormal
    np.testing.assert_array_equal(
        floats(l2, 0x300800, 256), np.array([(i - 127) * math.log(2) for i in range(256)]).astype(np.float32)
    )
    np.testing.assert_array_equal(floats(l2, 0x300F00, 256), np.arange(256))
    np.testing.assert_array_equal(floats(l2, 0x301300, 256), np.arange(256, dtype=np.uint8).view(np.int8))
    np.testing.assert_array_equal(floats(l2, 0x301800, 2048), np.arange(2048))


def test_tables_of_series(l2: Array) -> None:
    one = np.float32(1)
    taylor = [one]
    for k in range(1, 64):
        taylor.append(taylor[-1] / np.float32(k + 1))
    np.testing.assert_array_equal(floats(l2, 0x300C00, 64), taylor)
    np.testing.assert_array_equal(
        floats(l2, 0x300D00, 64), [np.float32((-1) ** k) / np.float32(k + 1) for k in range(64)]
    )
    sine = floats(l2, 0x301700, 64)
    assert not sine[1::2].any()
    np.testing.assert_array_equal(sine[::2], [np.float32((-1) ** k) * taylor[2 * k] for k in range(32)])
    arcsin = floats(l2, 0x300E00, 64)
    a = b = one
    with np.errstate(all="ignore"):
        for k in range(32):
            if k:
                a, b = a * np.float32(2 * k - 1), b * np.float32(2 * k)
            expected = a / b / np.float32(2 * k + 1)
            assert arcsin[2 * k] == expected or (k >= 29 and math.isnan(expected))
    np.testing.assert_array_equal(arcsin.view(np.uint32)[[58, 60, 62]], [0xFFC00000] * 3)
    assert not arcsin[1::2].any() and np.isfinite(arcsin[:58]).all()


def test_tables_of_bytes(l2: Array) -> None:
    numbers = np.arange(65536)
    np.testing.assert_array_equal(l2[0x303800:0x313800], numbers % 256)
    np.testing.assert_array_equal(l2[0x313800:0x323800], numbers // 256)
    assert not l2[0x323800:].any() and not l2[:0x300000].any()


@given(st.integers(1, 9), st.integers(1, 5), st.sampled_from([("int8", 2), ("uint8", 2), ("int16", 1), ("float32", 0)]))
def test_store_modes(n: int, elements: int, kind: tuple[str, int]) -> None:
    dtype, mode = kind
    io = IoTensor("x", dtype, (n, elements))
    table = tensor_table(io, 0, mode)
    value = np.arange(n * elements).reshape(n, elements).astype(dtype)
    stored = to_device(table, io, value)
    assert stored.size == device_bytes(table, io)
    np.testing.assert_array_equal(from_device(table, io, stored), value)
    batches = {0: 1, 1: 2, 2: 4}[mode]
    words = stored.view(dtype)
    for batch in range(n):
        for k in range(elements):
            if mode:
                assert words[(batch // batches * elements + k) * batches + batch % batches] == value[batch, k]


def test_store_modes_without_meaning() -> None:
    io = IoTensor("x", "float32", (4, 2))
    with pytest.raises(DataError, match="float32 cannot be stored 4N"):
        device_bytes(tensor_table(io, 0, 2), io)
    with pytest.raises(UnsupportedError, match="store mode 5"):
        device_bytes(tensor_table(io, 0, 5), io)
