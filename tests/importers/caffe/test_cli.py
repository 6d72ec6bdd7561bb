"""The verbs on Caffe models: files in, files out, one line and the right code for what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bittrue.cli.main import cli
from bittrue.errors import BittrueError
from bittrue.importers import load_float_graph
from tests.importers.caffe.nets import inputs, layer, write_caffemodel

NET = inputs((1, 3, 8, 8)) + layer("Convolution", "convolution_param { num_output: 4 kernel_size: 3 }")
BLOBS = {"l": [np.ones((4, 3, 3, 3)) / 9, np.arange(4.0)]}


@pytest.fixture
def model(tmp_path: Path) -> list[str]:
    (tmp_path / "net.prototxt").write_text(NET)
    write_caffemodel(tmp_path / "net.caffemodel", BLOBS)
    return [str(tmp_path / "net.prototxt"), "--weights", str(tmp_path / "net.caffemodel")]


def run(*arguments: object) -> str:
    result = CliRunner().invoke(cli, [str(a) for a in arguments])
    if result.exception:
        raise result.exception
    return result.output


def fails(code: int, *arguments: object) -> str:
    with pytest.raises((BittrueError, SystemExit)) as e:
        run(*arguments)
    assert getattr(e.value, "exit_code", None) == code
    assert "\n" not in str(e.value)
    return str(e.value)


def test_import(model: list[str], tmp_path: Path) -> None:
    assert "1 nodes, inputs a, outputs y" in run("import", *model, "-o", tmp_path / "f.onnx")
    assert load_float_graph(tmp_path / "f.onnx").types["y"].shape == (1, 4, 6, 6)


def test_calibrate_compile_verify(model: list[str], tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.random.default_rng(1).normal(0, 1, (4, 3, 8, 8)).astype(np.float32))
    run("calibrate", *model, "--data", tmp_path / "x.npy", "--method", "max", "-o", tmp_path / "t.table")
    out = tmp_path / "c"
    run("compile", *model, "--target", "bm1684", "--table", tmp_path / "t.table", "--outdir", out)
    assert "PASSED" in run("verify", "--context_dir", out)
    shape = ["--shape", "a=2x3x10x10"]
    run("compile", *model, "--target", "bm1684", "--precision", "fp32", "--outdir", out, *shape)
    assert "bm1684 fp32" in run(
        "compile", model[0], "--random-weights", 3, "--target", "bm1684", "--precision", "fp32", "--outdir", out
    )


def test_a_table_of_other_weights(model: list[str], tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((1, 3, 8, 8), np.float32))
    run("calibrate", *model, "--data", tmp_path / "x.npy", "--method", "max", "-o", tmp_path / "t.json")
    write_caffemodel(tmp_path / "net.caffemodel", {"l": [np.ones((4, 3, 3, 3)), np.ones(4)]})
    arguments = ("--target", "bm1684", "--table", tmp_path / "t.json", "--outdir", tmp_path / "c")
    assert "another model" in fails(4, "compile", *model, *arguments)


def test_inspect(model: list[str]) -> None:
    output = run("inspect", model[0])
    assert "Caffe network" in output and "[1, 4, 6, 6]" in output


def test_errors(model: list[str], tmp_path: Path) -> None:
    out = tmp_path / "f.onnx"
    assert "--weights" in fails(2, "import", model[0], "-o", out)
    assert "one of them" in fails(2, "import", *model, "--random-weights", 1, "-o", out)
    assert "no such file" in fails(4, "import", model[0], "--weights", tmp_path / "w.caffemodel", "-o", out)
    write_caffemodel(tmp_path / "net.caffemodel", {"l": [np.ones((4, 3, 3, 2))]})
    message = fails(4, "import", *model, "-o", out)
    assert "net.caffemodel: layer 'l' (Convolution): blob 0 has shape [4, 3, 3, 2], expected [4, 3, 3, 3]" in message
    (tmp_path / "net.prototxt").write_text(NET + layer("LSTM", bottoms="y", tops="z", name="m") + "colour: 3")
    assert "colour" in fails(4, "import", *model, "-o", out)
    assert "(LSTM)" in fails(3, "import", *model, "--allow-unknown-fields", "-o", out)
    assert not out.exists()


def test_weights_of_an_onnx_model(model: list[str], tmp_path: Path) -> None:
    run("import", *model, "-o", tmp_path / "f.onnx")
    assert "Caffe models" in fails(2, "import", tmp_path / "f.onnx", "--random-weights", 1, "-o", tmp_path / "g.onnx")
