"""Inferences captured as LMDB folders, from Python and by `bittrue run --capture`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from bittrue.audit.networks import Network
from bittrue.cascade.capture import Capture
from bittrue.cli.main import cli
from bittrue.containers.lmdb_folder import read_lmdb, write_lmdb
from bittrue.errors import DataError, UsageError

pytest.importorskip("lmdb")
Array = np.ndarray[Any, Any]
HALVES = Network("halves", lambda feeds: {"y": feeds["x"] / 2}, ("y",))
NET = """
name: "n" input: "x" input_shape { dim: 1 dim: 2 dim: 6 dim: 6 }
layer { name: "c" type: "Convolution" bottom: "x" top: "c" convolution_param { num_output: 3 kernel_size: 3 } }
layer { name: "p" type: "Pooling" bottom: "c" top: "y" pooling_param { kernel_size: 2 stride: 2 } }
"""


def stored(path: Path) -> list[Array]:
    return [sample.array for _, sample in read_lmdb(path)]


def inputs(*sizes: int) -> list[Array]:
    return [np.random.default_rng(i).normal(0, 1, (1, 2, n, n)).astype(np.float32) for i, n in enumerate(sizes)]


def run(*arguments: Any) -> str:
    result = CliRunner().invoke(cli, [str(a) for a in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def test_of_a_network(tmp_path: Path) -> None:
    given = inputs(6, 4, 5)
    with Capture({"x": tmp_path / "x", "y": tmp_path / "y"}, limit=2) as capture:
        network = capture.of(HALVES)
        for x in given:
            np.testing.assert_array_equal(network.run({"x": x})["y"], x / 2)
        assert capture.full and capture.count == 2
    for got, x in zip(stored(tmp_path / "x"), given[:2], strict=True):
        np.testing.assert_array_equal(got, x)
    np.testing.assert_array_equal(stored(tmp_path / "y")[1], given[1] / 2)


def test_nothing_is_half_written(tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match="no tensor 'z' to capture; there are x, y"),
        Capture({"x": tmp_path / "x", "z": tmp_path / "z"}) as capture,
    ):
        capture.of(HALVES).run({"x": inputs(3)[0]})
    with pytest.raises(DataError, match="x: no records"), Capture({"x": tmp_path / "x"}):
        pass
    with pytest.raises(DataError, match="one folder for two tensors"):
        Capture({"x": tmp_path / "x", "y": tmp_path / "x"})
    write_lmdb(tmp_path / "taken", [("k", inputs(3)[0], None)])
    with pytest.raises(DataError, match="taken: exists already"):
        Capture({"x": tmp_path / "x", "y": tmp_path / "taken"})
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


@pytest.fixture
def prototxt(tmp_path: Path) -> Path:
    (tmp_path / "net.prototxt").write_text(NET)
    return tmp_path / "net.prototxt"


def caffemodel(folder: Path) -> Path:
    from bittrue.importers.caffe.schema import new_message

    net = new_message("NetParameter")
    layer = net.layer.add()
    layer.name, layer.type = "c", "Convolution"
    rng = np.random.default_rng(3)
    for shape in ((3, 2, 3, 3), (3,)):
        blob = layer.blobs.add()
        blob.shape.dim.extend(shape)
        blob.data.extend(rng.normal(0, 1, shape).ravel().tolist())
    (folder / "net.caffemodel").write_bytes(net.SerializeToString())
    return folder / "net.caffemodel"


def test_float_model_at_several_sizes(prototxt: Path, tmp_path: Path) -> None:
    write_lmdb(tmp_path / "data", [(str(i), x[0], None) for i, x in enumerate(inputs(6, 9, 12))])
    base = ["run", prototxt, "--weights", caffemodel(tmp_path), "--data", tmp_path / "data"]
    output = run(*base, "--capture", f"x,y={tmp_path / 'a'},{tmp_path / 'b'}", "--max", 2)
    assert f"{tmp_path / 'b'}: 2 records of y" in output
    assert [a.shape for a in stored(tmp_path / "b")] == [(1, 3, 2, 2), (1, 3, 4, 4)]
    np.testing.assert_array_equal(stored(tmp_path / "a")[1], inputs(6, 9)[1])


def test_compiled_model(prototxt: Path, tmp_path: Path) -> None:
    weights = caffemodel(tmp_path)
    write_lmdb(tmp_path / "data", [(str(i), x[0], None) for i, x in enumerate(inputs(6, 6))])
    run("calibrate", prototxt, "--weights", weights, "--data", tmp_path / "data", "-o", tmp_path / "t")
    run("compile", prototxt, "--weights", weights, "--target", "bm1684", "--table", tmp_path / "t", "--outdir",
        tmp_path / "out")  # fmt: skip
    base = ["run", tmp_path / "out", "--data", tmp_path / "data"]
    run(*base, "--capture", f"y={tmp_path / 'int8'}")
    run("run", prototxt, "--weights", weights, "--data", tmp_path / "data", "--capture", f"y={tmp_path / 'float'}")
    for a, b in zip(stored(tmp_path / "int8"), stored(tmp_path / "float"), strict=True):
        assert a.dtype == np.float32 and 0 < np.abs(a - b).max() < 0.1 * np.abs(b).max()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--capture", "y=a"], "--capture needs --data"),
        (["--data", "data", "--capture", "yy=a"], "no tensor 'yy'; did you mean 'y'"),
        (["--data", "data", "--capture", "x,y=a"], "as many tensors as folders"),
        (["--data", "data", "--capture", "y=a", "--input", "i.npz"], "--capture reads --data"),
        (["--data", "data", "--capture", "y=a", "--threads", "1"], "options of the simulation"),
        (["--data", "data", "--capture", "y=a", "--profile"], "--profile does not go with --capture"),
        (["--data", "data", "--capture", "y=a", "--all-tensors"], "--all-tensors does not go with --capture"),
        (["--data", "data"], "--data is of --capture"),
        ([], "--input and --output are needed"),
    ],
)
def test_refused(
    arguments: list[str], message: str, prototxt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_lmdb(tmp_path / "data", [("k", inputs(6)[0], None)])
    weights = ["--weights", caffemodel(tmp_path)] if "--capture" in arguments else []
    with pytest.raises(UsageError, match=message):
        run("run", prototxt, *weights, *arguments)
    assert not (tmp_path / "a").exists()
