"""Layouts: packing and unpacking are inverse, the named forms are what the targets store, wrong sizes are refused."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bittrue.devices.bm1684.session import from_device
from bittrue.errors import UsageError
from bittrue.verify.layouts import LayoutError, axis_letters, parse_layout

BASES = ["NCHW", "NHWC", "4N", "2N", "NC/4", "NC/8", "NC/16", "NC/32"]
ALIGNMENTS = ["", ":C=16", ":W=32", ":H=2,W=32", ":W=64b", ":C=bpu", ":W=bpu", ":N=3,C=5,W=7"]
SHAPES = st.lists(st.integers(1, 7), min_size=1, max_size=6).map(tuple)
DTYPES = st.sampled_from(["int8", "int16", "float32"])


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(BASES), st.sampled_from(ALIGNMENTS), SHAPES, DTYPES, st.integers(0, 2**32 - 1))
def test_unpack_undoes_pack(base: str, align: str, shape: tuple[int, ...], dtype: str, seed: int) -> None:
    layout = parse_layout(base + align)
    array = np.random.default_rng(seed).integers(-100, 100, shape).astype(dtype)
    stored = layout.pack(array)
    assert stored.shape == layout.stored_shape(shape, array.itemsize)
    for form in (stored, stored.ravel()):
        back, padding = layout.unpack(form, shape)
        np.testing.assert_array_equal(back, array)
        assert back.dtype == array.dtype and padding == 0
    if not layout.padded:
        assert layout.logical_shape(stored.shape) == shape


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(BASES[2:]), SHAPES)
def test_padding_that_is_not_zero_is_counted(base: str, shape: tuple[int, ...]) -> None:
    layout = parse_layout(base)
    stored = layout.pack(np.zeros(shape, np.int8), fill=7)
    back, padding = layout.unpack(stored, shape)
    assert not back.any() and padding == stored.size - prod(shape)


def test_the_forms_are_those_of_the_targets() -> None:
    x = np.arange(5 * 3 * 2 * 2, dtype=np.int8).reshape(5, 3, 2, 2)
    packed = parse_layout("4N").pack(x)  # [ceil(N/4)][C][H][W][4], innermost = n mod 4
    assert packed.shape == (2, 3, 2, 2, 4)
    assert all(packed[n // 4, c, h, w, n % 4] == x[n, c, h, w] for n, c, h, w in np.ndindex(x.shape))
    assert not packed[1, ..., 1:].any()
    blocks = parse_layout("NC/8").pack(x)  # [N][ceil(C/8)][H][W][8]
    assert blocks.shape == (5, 1, 2, 2, 8)
    np.testing.assert_array_equal(blocks[:, 0, :, :, :3], x.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(parse_layout("NHWC:C=4").pack(x)[..., :3], x.transpose(0, 2, 3, 1))
    assert parse_layout("NCHW:W=32").stored_shape((1, 3, 4, 33), 1) == (1, 3, 4, 64)
    # Horizon: C bytes to the next of 16, 32, 64, 128 or a multiple of 256.
    sizes = {c: parse_layout("NHWC:C=bpu").stored_shape((1, c, 2, 2), 1)[3] for c in (5, 17, 33, 65, 129, 257)}
    assert sizes == {5: 16, 17: 32, 33: 64, 65: 128, 129: 256, 257: 512}
    assert parse_layout("NHWC:C=bpu").stored_shape((1, 5, 2, 2), 4)[3] == 8  # 20 bytes -> 32
    assert parse_layout("NHWC:H=2,W=32").stored_shape((1, 3, 5, 30), 1) == (1, 6, 32, 3)


def test_4n_is_what_the_instruction_simulator_reads() -> None:
    from bittrue.containers.build import IoTensor
    from bittrue.containers.flat import Table

    x = np.arange(6 * 2 * 3 * 3, dtype=np.int8).reshape(6, 2, 3, 3)
    table = Table("Tensor", name="x", data_type=2, gmem_stmode=2, device_addr=0, size=0, shape=[])
    stored = parse_layout("4N").pack(x)
    read = from_device(table, IoTensor("x", "int8", x.shape), stored.ravel().view(np.uint8))
    np.testing.assert_array_equal(read, x)


def test_ranks_below_and_above_four() -> None:
    assert [axis_letters(r) for r in range(7)] == ["", "N", "NC", "NCW", "NCHW", "NCDHW", "NC_DHW"]
    assert parse_layout("NHWC").stored_shape((2, 3, 4), 1) == (2, 4, 3)
    assert parse_layout("NHWC").stored_shape((2, 3), 1) == (2, 3)
    assert parse_layout("NC/4").stored_shape((6,), 1) == (6,)


def test_other_sizes_are_refused_and_say_what_is_wanted() -> None:
    layout = parse_layout("NHWC:C=16")
    with pytest.raises(LayoutError, match=r"\[1, 2, 2, 16\] in memory \(64 elements\), the dump has \[1, 2, 2, 3\]"):
        layout.unpack(np.zeros((1, 2, 2, 3), np.int8), (1, 3, 2, 2))
    with pytest.raises(LayoutError, match="12 elements"):
        layout.unpack(np.zeros(12, np.int8), (1, 3, 2, 2))
    with pytest.raises(LayoutError, match="no whole number"):
        parse_layout("NCHW:W=6b").stored_shape((1, 1, 1, 4), 4)
    # The right number of elements in another shape is not taken either.
    with pytest.raises(LayoutError):
        parse_layout("NHWC").unpack(np.zeros((1, 3, 2, 2), np.int8), (1, 3, 2, 2))


@pytest.mark.parametrize("text", ["", "NWHC", "8N", "NC/5", "NHWC:", "NHWC:C", "NHWC:C=0", "NHWC:X=4", "NHWC:C=4,C=8"])
def test_unknown_layouts_are_usage_errors(text: str) -> None:
    with pytest.raises(UsageError, match="layout"):
        parse_layout(text)
