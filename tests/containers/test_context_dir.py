"""Context directories and their reference data."""

from pathlib import Path

import numpy as np
import pytest
from container_models import small_model

from bittrue.containers.build import IoTensor
from bittrue.containers.context_combine import combine_dirs
from bittrue.containers.context_dir import ContextDir, write_context_dir
from bittrue.containers.refdata import from_bytes, io_info_text, read_refdata, to_bytes, write_refdata
from bittrue.errors import DataError


def write(path: Path, batch: int = 1) -> ContextDir:
    rng = np.random.default_rng(batch)
    x = rng.integers(-128, 128, (batch, 3, 4, 4), np.int8)
    y = rng.normal(size=(batch, 5)).astype(np.float32)
    return write_context_dir(
        path, small_model(batch), [{"x": x}], [{"y": y}], layers={"a/b": x, "file": y}, manifest={"tool": "t"}
    )


def test_round_trip(tmp_path: Path) -> None:
    written = write(tmp_path / "c")
    read = ContextDir.open(tmp_path / "c")
    assert sorted(p.name for p in (tmp_path / "c").iterdir()) == [
        "compilation.bmodel",
        "input_ref_data.dat",
        "io_info.dat",
        "layers_ref.npz",
        "manifest.json",
        "output_ref_data.dat",
    ]
    np.testing.assert_array_equal(read.inputs[0]["x"], written.inputs[0]["x"])
    np.testing.assert_array_equal(read.outputs[0]["y"], read.layers["file"])
    assert set(read.layers) == {"a/b", "file"} and read.manifest["tool"] == "t"


def test_changed_file_is_found(tmp_path: Path) -> None:
    write(tmp_path)
    data = bytearray((tmp_path / "output_ref_data.dat").read_bytes())
    data[0] ^= 1
    (tmp_path / "output_ref_data.dat").write_bytes(data)
    with pytest.raises(DataError, match=r"output_ref_data\.dat: SHA-256"):
        ContextDir.open(tmp_path)
    ContextDir.open(tmp_path, verify_hashes=False)


def test_size_message(tmp_path: Path) -> None:
    path = tmp_path / "d.dat"
    path.write_bytes(bytes(7))
    with pytest.raises(DataError, match=r"d\.dat: expected 8 bytes.*found 7"):
        read_refdata(path, [[IoTensor("x", "float32", (2,))]])


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "uint8", "int16", "uint16", "int32", "uint32"])
def test_types(tmp_path: Path, dtype: str) -> None:
    stages = [[IoTensor("a", dtype, (2, 3)), IoTensor("b", dtype, ())], [IoTensor("a", dtype, (4,))]]
    values = [{"a": np.arange(6).reshape(2, 3).astype(dtype), "b": np.array(7, dtype)}, {"a": np.ones(4, dtype)}]
    write_refdata(tmp_path / "d", stages, values)
    back = read_refdata(tmp_path / "d", stages)
    for left, right in zip(back, values, strict=True):
        for name in right:
            np.testing.assert_array_equal(left[name], right[name])
            assert left[name].dtype == right[name].dtype and left[name].shape == right[name].shape


@pytest.mark.parametrize(("dtype", "low", "high"), [("int4", -8, 8), ("uint4", 0, 16)])
def test_int4(dtype: str, low: int, high: int) -> None:
    io = IoTensor("x", dtype, (high - low - 1,))
    value = np.arange(low, high - 1, dtype=np.int8)
    data = to_bytes(io, value)
    assert len(data) == io.bytes == 8
    np.testing.assert_array_equal(from_bytes(io, data), value)


def test_wrong_data_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="int8"):
        write_context_dir(tmp_path, small_model(), [{"x": np.zeros((1, 3, 4, 4))}], [{"y": np.zeros((1, 5))}])
    assert list(tmp_path.iterdir()) == []


def test_io_info() -> None:
    text = io_info_text([IoTensor("in", "float32", (1, 20, 7))], [IoTensor("out", "int8", (20,))])
    assert text == "input:\nin\n[ 1 20 7 ]\n0\noutput:\nout\n[ 20 ]\n2\n"


def test_combine_dirs(tmp_path: Path) -> None:
    one, four = write(tmp_path / "1"), write(tmp_path / "4", 4)
    combine_dirs([tmp_path / "1", tmp_path / "4"], tmp_path / "out")
    both = ContextDir.open(tmp_path / "out")
    assert len(both.inputs) == 2 and len(both.model.nets) == 1
    np.testing.assert_array_equal(both.inputs[0]["x"], one.inputs[0]["x"])
    np.testing.assert_array_equal(both.outputs[1]["y"], four.outputs[0]["y"])


def test_combine_dirs_refuses(tmp_path: Path) -> None:
    write(tmp_path / "1")
    with pytest.raises(DataError, match="is not correct"):
        combine_dirs([tmp_path / "none"], tmp_path / "out")
    (tmp_path / "1" / "manifest.json").unlink()
    (tmp_path / "1" / "input_ref_data.dat").write_bytes(b"123")
    with pytest.raises(DataError, match=r"net\[net\] stage\[0\] needs 48 bytes, 3 are left"):
        combine_dirs([tmp_path / "1"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        ContextDir.open(tmp_path / "x")
    with pytest.raises(DataError, match=r"has no compilation\.bmodel"):
        ContextDir.open(tmp_path)
