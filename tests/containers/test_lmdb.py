"""LMDB folders of Datum records: both forms, broken data, and as calibration data."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bittrue.calibrate.data import Preprocess, Records
from bittrue.cli.lmdb_ import lmdb_command
from bittrue.containers.datum import decode_datum, encode_datum
from bittrue.containers.lmdb_folder import is_lmdb, read_lmdb, write_lmdb
from bittrue.errors import DataError, UnsupportedError
from bittrue.graph.ir import Graph, TensorType
from bittrue.importers.caffe.schema import new_message

lmdb = pytest.importorskip("lmdb")
Array = np.ndarray[Any, Any]
TYPES = ["float32", "float16", "int8", "uint8", "int16", "uint16", "int32", "uint32"]


@settings(max_examples=40, deadline=None)
@given(
    dtype=st.sampled_from(TYPES),
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=5),
    seed=st.integers(0, 99),
    label=st.none() | st.integers(-5, 200),
)
def test_datum_round_trip(dtype: str, shape: list[int], seed: int, label: int | None) -> None:
    array = np.random.default_rng(seed).normal(0, 50, shape).astype(dtype)
    sample = decode_datum(encode_datum(array, label))
    assert sample.array.dtype == array.dtype and sample.label == label
    np.testing.assert_array_equal(sample.array, array)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_form_of_caffe(dtype: str) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    record = encode_datum(array, 7, caffe=True)
    datum = new_message("Datum")
    datum.ParseFromString(record)
    assert (datum.channels, datum.height, datum.width) == (2, 3, 4)
    assert not datum.HasField("shape") and not datum.HasField("dtype")
    np.testing.assert_array_equal(decode_datum(record).array, array)
    with pytest.raises(UnsupportedError, match="not int16 of 3"):
        encode_datum(array.astype(np.int16), caffe=True)


def test_annotated_and_packed() -> None:
    annotated = new_message("AnnotatedDatum")
    annotated.datum.ParseFromString(encode_datum(np.ones((1, 2), np.uint8), 3))
    annotated.type = 0
    assert decode_datum(annotated.SerializeToString()).label == 3
    packed = bytes([0x08, 1, 0x10, 1, 0x18, 2]) + bytes([0x32, 8]) + np.asarray([1.5, -2], "<f4").tobytes()
    np.testing.assert_array_equal(decode_datum(packed).array, [[[1.5, -2]]])


def test_encoded_picture() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (4, 5, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    datum = new_message("Datum")
    datum.data, datum.encoded, datum.label = file.getvalue(), True, 1
    np.testing.assert_array_equal(decode_datum(datum.SerializeToString()).array, pixels[:, :, ::-1].transpose(2, 0, 1))
    datum.data = b"no picture"
    with pytest.raises(DataError, match="an encoded picture"):
        decode_datum(datum.SerializeToString())


def broken(**fields: Any) -> bytes:
    datum = new_message("Datum")
    for key, value in fields.items():
        setattr(datum, key, value)
    return bytes(datum.SerializeToString())


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (b"\xff\xff\xff", "not a Datum"),
        (broken(channels=1, height=2, width=2), r"0 values for the shape \[1, 2, 2\]"),
        (broken(channels=1, height=2, width=2, data=b"abc"), r"3 values for the shape \[1, 2, 2\]"),
        (broken(channels=1, height=1, width=1, data=b"abc", dtype=0), "3 bytes are no whole number of float32"),
    ],
)
def test_broken_record(record: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        decode_datum(record)
    with lmdb.open(str(tmp_path)) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"k1", record)
    with pytest.raises(DataError, match=rf"{tmp_path.name}: record 'k1': .*{message}"):
        list(read_lmdb(tmp_path))


def samples(count: int, shape: tuple[int, ...] = (3, 4, 4), labels: bool = True) -> list[tuple[str, Array, int | None]]:
    rng = np.random.default_rng(2)
    return [(f"p{i}", rng.normal(0, 1, shape).astype(np.float32), i if labels else None) for i in range(count)]


def test_write_and_read(tmp_path: Path) -> None:
    """Enough data that the map grows, and more records than one commit takes."""
    made = [(k, (a * 9).astype(np.int32), n) for k, a, n in samples(230, (3, 100, 100))]
    assert write_lmdb(tmp_path / "a", made) == 230
    assert is_lmdb(tmp_path / "a") and is_lmdb(tmp_path / "a/data.mdb") and not is_lmdb(tmp_path)
    read = list(read_lmdb(tmp_path / "a"))
    assert [k for k, _ in read] == [f"{i:010d}__p{i}" for i in range(230)]
    for (_, array, label), (_, sample) in zip(made, read, strict=True):
        np.testing.assert_array_equal(sample.array, array)
        assert sample.label == label
    assert [k for k, _ in read_lmdb(tmp_path / "a/data.mdb")] == [k for k, _ in read]


def test_nothing_is_half_written(tmp_path: Path) -> None:
    write_lmdb(tmp_path / "a", samples(2))
    with pytest.raises(DataError, match="a: exists already; --force"):
        write_lmdb(tmp_path / "a", samples(3))
    bad = [*samples(2), ("x", np.zeros(2, np.complex64), None)]
    with pytest.raises(UnsupportedError, match="no complex64"):
        write_lmdb(tmp_path / "a", bad, force=True)
    with pytest.raises(DataError, match="b: no records"):
        write_lmdb(tmp_path / "b", [])
    assert [p.name for p in tmp_path.iterdir()] == ["a"] and len(list(read_lmdb(tmp_path / "a"))) == 2
    assert write_lmdb(tmp_path / "a", samples(3), force=True) == len(list(read_lmdb(tmp_path / "a"))) == 3


def test_damaged_files(tmp_path: Path) -> None:
    write_lmdb(tmp_path / "a", samples(50, (3, 20, 20)))
    data = tmp_path / "a/data.mdb"
    whole = data.read_bytes()
    data.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="a: cut off"):
        list(read_lmdb(tmp_path / "a"))
    data.write_bytes(b"x" * 20000)
    with pytest.raises(DataError, match="a: not a readable LMDB"):
        list(read_lmdb(tmp_path / "a"))


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(UnsupportedError, match=r"pip install 'bittrue\[lmdb\]'"):
        list(read_lmdb(tmp_path))


def graph_of(*shape: int) -> Graph:
    return Graph("g", inputs=["data"], types={"data": TensorType("float32", shape)})


def test_calibration_data(tmp_path: Path) -> None:
    made = samples(6)
    write_lmdb(tmp_path / "a", made)
    records = list(Records(graph_of(1, 3, 4, 4), tmp_path / "a", Preprocess()))
    assert len(records) == 6 and [int(r.labels[0]) for r in records if r.labels is not None] == list(range(6))
    np.testing.assert_array_equal(records[2].feeds["data"][0], made[2][1])
    pairs = list(Records(graph_of(2, 3, 4, 4), tmp_path / "a", Preprocess(), limit=2))
    assert len(pairs) == 2
    np.testing.assert_array_equal(pairs[1].feeds["data"], np.stack([made[2][1], made[3][1]]))
    options = Preprocess(mean=[1.0, 2.0, 3.0], scale=[0.5], channels="RGB")
    first = next(iter(Records(graph_of(1, 3, 4, 4), tmp_path / "a", options)))
    expected = (made[0][1][::-1] - np.asarray([1, 2, 3], np.float32)[:, None, None]) * np.float32(0.5)
    np.testing.assert_array_equal(first.feeds["data"][0], expected)


def test_records_that_are_batches(tmp_path: Path) -> None:
    write_lmdb(tmp_path / "a", samples(2, (2, 3, 4, 4), labels=False))
    records = list(Records(graph_of(2, 3, 4, 4), tmp_path / "a", Preprocess()))
    assert len(records) == 2 and records[0].labels is None
    assert len(list(Records(graph_of(4, 3, 4, 4), tmp_path / "a", Preprocess()))) == 1


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 3, 4, 5), r"a: record '0000000000__p0' has shape \[3, 4, 4\], 'data' needs \[1, 3, 4, 5\]"),
        ((4, 3, 4, 4), "a: the last 1 samples do not fill a batch of 4"),
    ],
)
def test_data_that_does_not_fit(shape: tuple[int, ...], message: str, tmp_path: Path) -> None:
    write_lmdb(tmp_path / "a", samples(5))
    with pytest.raises(DataError, match=message):
        list(Records(graph_of(*shape), tmp_path / "a", Preprocess()))
    with pytest.raises(DataError, match="mean has 2 entries for 3 channels"):
        list(Records(graph_of(1, 3, 4, 4), tmp_path / "a", Preprocess(mean=[1, 2])))


def test_command_line(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    pixels = np.random.default_rng(3).integers(0, 256, (4, 6, 3), np.uint8)
    for name in ("b.png", "a.png"):
        Image.fromarray(pixels if name == "a.png" else pixels[::-1]).save(tmp_path / "p" / name)
    run = CliRunner().invoke
    made = run(lmdb_command, ["make", str(tmp_path / "p"), "-o", str(tmp_path / "l")])
    assert made.exit_code == 0 and "2 records" in made.output
    key, sample = next(iter(read_lmdb(tmp_path / "l")))
    assert key == "0000000000__a.png" and sample.array.dtype == np.float32
    np.testing.assert_array_equal(sample.array, pixels[:, :, ::-1].transpose(2, 0, 1))
    lines = run(lmdb_command, ["info", str(tmp_path / "l")]).output.splitlines()
    assert len(lines) == 3 and "0000000001__b.png" in lines[2] and "(3, 4, 6)" in lines[2]
    options = ["--resize", "2x3", "--gray", "--caffe", "--force"]
    assert run(lmdb_command, ["make", str(tmp_path / "p"), "-o", str(tmp_path / "l"), *options]).exit_code == 0
    sample = next(iter(read_lmdb(tmp_path / "l")))[1]
    assert sample.array.shape == (1, 2, 3) and sample.array.dtype == np.uint8
    (tmp_path / "empty").mkdir()
    assert isinstance(run(lmdb_command, ["make", str(tmp_path / "empty"), "-o", "x"]).exception, DataError)
    assert run(lmdb_command, ["make", str(tmp_path / "p"), "-o", "x", "--resize", "3"]).exit_code == 2
