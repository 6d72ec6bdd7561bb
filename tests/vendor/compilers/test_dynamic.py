"""Networks with dynamic shapes: any smaller shape computes what a network compiled for it computes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper
from tests.commands import Command, command
from tests.vendor.compilers.networks import FC, caffe_files, caffe_text, onnx_file, onnx_net

from bittrue.containers.bmodel import read_bmodel, write_bmodel
from bittrue.errors import DataError, UnsupportedError, UsageError
from bittrue.runtime.session import Session
from bittrue.vendor.sophgo.compilers import bmnetc, bmneto
from bittrue.vendor.sophgo.compilers.dynamic import resized

LARGEST = (3, 3, 16, 20)


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return command(monkeypatch, capsys)


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dynamic network, and the options that name its model."""
    folder = tmp_path_factory.mktemp("dynamic")
    model, weight = (o.partition("=")[2] for o in caffe_files(folder))
    shapes = [list(LARGEST)]
    bmnetc.compile(model=model, weight=weight, outdir=folder / "dyn", target="BM1684", shapes=shapes, dyn=True, v=0)
    return folder


def test_the_schema_says_what_may_change(tool: Command, net: Path) -> None:
    (ref,) = read_bmodel(net / "dyn/compilation.bmodel").stages()
    stage = ref.stage
    assert (stage.is_dynamic, stage.n_dynamic, stage.h_w_dynamic) == (0, 1, 1)
    assert [(s.is_dynamic, s.n_dynamic, s.h_w_dynamic) for s in stage.sub_net] == [(1, 1, 1)]
    _, text = tool("bm_model.bin", "--info", net / "dyn/compilation.bmodel")
    assert "net 0: [tiny]  dynamic" in text and "input: data, [max:3, max:3, max:16, max:20]" in text
    assert tool("bm_model.bin", "--is_dynamic", net / "dyn/compilation.bmodel")[1].strip() == "true"
    code, text = tool("bmrt_test", "--context_dir", net / "dyn", "--strict")
    assert code == 0 and "cmp success" in text


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(n=st.integers(1, 3), h=st.integers(5, 16), w=st.integers(5, 20))
def test_any_smaller_shape_is_that_of_its_own_compilation(net: Path, n: int, h: int, w: int) -> None:
    (ref,) = read_bmodel(net / "dyn/compilation.bmodel").stages()
    shape = (n, 3, h, w)
    model, weight = str(net / "net.prototxt"), str(net / "net.caffemodel")
    bmnetc.compile(model=model, weight=weight, outdir=net / "own", target="BM1684", shapes=[list(shape)], v=0)
    x = np.fromfile(net / "own/input_ref_data.dat", np.float32).reshape(shape)
    got = Session(resized(ref, [shape]).graph).run({"data": x}).outputs["prob"]
    assert got.tobytes() == (net / "own/output_ref_data.dat").read_bytes()


def test_the_runtime_test_runs_other_shapes(tool: Command, net: Path, tmp_path: Path) -> None:
    model = [f"--model={net / 'net.prototxt'}", f"--weight={net / 'net.caffemodel'}"]
    assert tool("bmnetc", *model, "-shapes=2x3x8x10", "-outdir", tmp_path / "own", "-target=BM1684")[0] == 0
    both = tmp_path / "both"
    shutil.copytree(net / "dyn", both)
    for name in ("input_ref_data.dat", "output_ref_data.dat"):
        shutil.copy(tmp_path / "own" / name, both / name)
    shapes = ("--context_dir", both, "--shapes", "[2,3,8,10]", "--strict")
    code, text = tool("bmrt_test", *shapes)
    assert code == 0 and "cmp success" in text and "output data #0 shape: [2 8 2 3 ]" in text
    assert tool("bmrt_test", *shapes, "--output_shapes", "[2,8,2,3]", "--loopnum", 2)[0] == 0
    code, text = tool("bmrt_test", *shapes, "--output_shapes", "[2,8,2,4]")
    assert code == 255 and "not supported" in text
    data = np.fromfile(both / "output_ref_data.dat", np.float32)
    data[5] += 0.5
    data.tofile(both / "output_ref_data.dat")
    code, text = tool("bmrt_test", *shapes)
    assert code == 255 and "cmp failed" in text
    for bad in ("[4,3,8,10]", "[2,3,8]", "[2,2,8,10]"):
        code, text = tool("bmrt_test", "--context_dir", both, "--shapes", bad)
        assert code == 255 and "launch failed" in text, bad


def test_shapes_that_a_stage_does_not_allow(net: Path, tmp_path: Path) -> None:
    (ref,) = read_bmodel(net / "dyn/compilation.bmodel").stages()
    for shape, message in (
        ((4, 3, 8, 8), "dimension 0 is at most 3, not 4"),
        ((1, 2, 8, 8), "dimension 1 is always 3, not 2"),
        ((1, 3, 8), "has 4 dimensions"),
    ):
        with pytest.raises(UsageError, match=message):
            resized(ref, [shape])
    bmnetc.compile(model=net / "net.prototxt", weight=net / "net.caffemodel", outdir=tmp_path, target="BM1684", v=0)
    (static,) = read_bmodel(tmp_path / "compilation.bmodel").stages()
    with pytest.raises(UnsupportedError, match="compiled without --dyn"):
        resized(static, [(1, 3, 8, 8)])


def test_changed_weights_are_noticed(net: Path, tmp_path: Path) -> None:
    model = read_bmodel(net / "dyn/compilation.bmodel")
    (ref,) = model.stages()
    blob = bytearray(ref.stage.coeff_mem.binary_coeff.data)
    blob[100] ^= 1
    ref.stage.coeff_mem.binary_coeff = type(ref.stage.coeff_mem.binary_coeff).of(bytes(blob))
    write_bmodel(model, tmp_path / "x.bmodel")
    (ref,) = read_bmodel(tmp_path / "x.bmodel").stages()
    with pytest.raises(DataError, match="its weights were changed after compilation"):
        resized(ref, [(1, 3, 8, 8)])


def test_what_stays_fixed_is_said(tool: Command, tmp_path: Path) -> None:
    model = caffe_files(tmp_path, caffe_text(head=FC))
    code, text = tool("bmnetc", *model, "-shapes=[4,3,12,12]", "-dyn", "-outdir", tmp_path / "out", "-target=BM1684")
    assert code == 0 and "[BMCompiler:W] dyn: stays fixed: height and width: " in text and "'fc'" in text
    (ref,) = read_bmodel(tmp_path / "out/compilation.bmodel").stages()
    assert (ref.stage.n_dynamic, ref.stage.h_w_dynamic) == (1, 0)
    with pytest.raises(UsageError, match="dimension 2 is always 12, not 8"):
        resized(ref, [(4, 3, 8, 12)])
    assert resized(ref, [(1, 3, 12, 12)]).graph.types["prob"].shape == (1, 5)


def test_onnx_networks_carry_their_model(tmp_path: Path) -> None:
    model = onnx_net(tmp_path / "net.onnx", ("n", 3, "h", "w"))
    bmneto.compile(model=model, outdir=tmp_path / "dyn", target="BM1684", shapes=[[2, 3, 12, 16]], dyn=True, v=0)
    bmneto.compile(model=model, outdir=tmp_path / "own", target="BM1684", shapes=[[1, 3, 9, 10]], v=0)
    model.unlink()
    (ref,) = read_bmodel(tmp_path / "dyn/compilation.bmodel").stages()
    x = np.fromfile(tmp_path / "own/input_ref_data.dat", np.float32).reshape(1, 3, 9, 10)
    got = Session(resized(ref, [x.shape]).graph).run({"x": x}).outputs["y"]
    assert got.tobytes() == (tmp_path / "own/output_ref_data.dat").read_bytes()


def test_nothing_dynamic(tool: Command, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["r"], "r"),
        helper.make_node("MatMul", ["r", "w"], ["y"], "fc"),
    ]
    constants = {"shape": np.array([1, 12]), "w": np.ones((12, 2), np.float32)}
    model = onnx_file(tmp_path / "net.onnx", nodes, constants, (1, 3, 2, 2))
    code, text = tool(
        "bmneto", f"-model={model}", "-shapes=[1,3,2,2]", "-dyn", f"-outdir={tmp_path / 'out'}", "-target=BM1684"
    )
    assert code == 3 and "dyn: nothing of this network can change; batch: " in text and not (tmp_path / "out").exists()


def test_open_dimensions_take_the_models_own(tool: Command, tmp_path: Path) -> None:
    model = caffe_files(tmp_path, caffe_text(2))
    code, _ = tool("bmnetc", *model, "-shapes=[-1,3,-1,-1]", "-dyn", "-outdir", tmp_path / "out", "-target=BM1684")
    assert code == 0
    (ref,) = read_bmodel(tmp_path / "out/compilation.bmodel").stages()
    assert ref.stage.input_tensor[0].shape[0].dim == [2, 3, 12, 12]
    open_model = onnx_net(tmp_path / "open.onnx", ("n", 3, 12, 12))
    code, text = tool(
        "bmneto", f"-model={open_model}", "-shapes=[-1,3,12,12]", "-dyn", "-outdir", tmp_path / "x", "-target=BM1684"
    )
    assert code == 2 and "the model does not say dimension 0" in text
