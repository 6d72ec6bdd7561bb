"""bmneto: parts of a network, what reference inputs hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper
from tests.commands import Command, command
from tests.vendor.compilers.networks import onnx_file, onnx_net

from bittrue import api
from bittrue.calibrate.float_runner import FloatRunner
from bittrue.containers.bmodel import read_bmodel
from bittrue.errors import UsageError
from bittrue.importers.onnx import load_onnx
from bittrue.vendor.sophgo.compilers.frontends import resolve_shapes
from bittrue.vendor.sophgo.compilers.reference_inputs import Desc, parse_descs


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return command(monkeypatch, capsys, "bmneto")


def io_names(folder: Path) -> tuple[list[str], list[str]]:
    (ref,) = read_bmodel(folder / "compilation.bmodel").stages()
    return [t.name for t in ref.stage.input_tensor], [t.name for t in ref.stage.output_tensor]


def test_a_part_of_a_network(tool: Command, tmp_path: Path) -> None:
    model, out = onnx_net(tmp_path / "net.onnx", ("n", 3, 12, 12)), tmp_path / "out"
    options = (f"--model={model}", f"--outdir={out}", "--target=BM1684")
    assert tool(*options, "--shapes=[1,3,12,12]", "--output_names=[pool, score]")[0] == 0
    assert io_names(out) == (["x"], ["pool", "score"]) and read_bmodel(out / "compilation.bmodel").nets[0].name == "net"
    assert tool(*options, "--shapes=[1,4,12,12]", "--input_names=bn", "--output_names=score")[0] == 0
    assert io_names(out) == (["bn"], ["score"]) and api.verify(out).summary.passed
    x = np.random.default_rng(0).random((1, 3, 12, 12)).astype(np.float32)
    whole = load_onnx(model, input_shapes={"x": x.shape}, output_names=["bn", "score"])
    part = load_onnx(model, input_shapes={"bn": (1, 4, 12, 12)}, input_names=["bn"], output_names=["score"])
    values = FloatRunner(whole).run({"x": x})
    np.testing.assert_allclose(FloatRunner(part).run({"bn": values["bn"]})["score"], values["score"], rtol=1e-5)


def test_names_that_do_not_fit(tool: Command, tmp_path: Path) -> None:
    options = (f"--model={onnx_net(tmp_path / 'net.onnx')}", f"--outdir={tmp_path / 'out'}", "--target=BM1684")
    code, text = tool(*options, "--output_names=nothing")
    assert code == 2 and "no tensor 'nothing'" in text
    code, text = tool(*options, "--input_names=score", "--output_names=pool")
    assert code == 2 and "the outputs need 'x' as well" in text
    (tmp_path / "bad.onnx").write_text("no model")
    code, text = tool(f"--model={tmp_path / 'bad.onnx'}", *options[1:])
    assert code == 4 and "bad.onnx: not an ONNX model" in text and not (tmp_path / "out").exists()


def test_descs(tool: Command, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Sqrt", ["f"], ["y"], "r"),
    ]
    model = onnx_file(tmp_path / "g.onnx", nodes, {}, (64,), dtype=TensorProto.INT32)
    options = (f"--model={model}", f"--outdir={tmp_path / 'out'}", "--target=BM1684")
    for words, want in (("--descs=[[0, int32, 3, 9]]", range(3, 9)), ("--seed=4", range(2))):
        assert tool(*options, words)[0] == 0
        assert set(np.fromfile(tmp_path / "out/input_ref_data.dat", np.int32)) == set(want)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("[[0, int64, 0, 100]]", {0: Desc("int64", 0, 100)}),
        ("[0,'fp32',-1,1.5]", {0: Desc("float32", -1, 1.5)}),
        ("[[1, 'uint8', 0, 256], (0, float, 0, 1)]", {1: Desc("uint8", 0, 256), 0: Desc()}),
    ],
)
def test_forms_of_descs(text: str, want: dict[int, Desc]) -> None:
    assert parse_descs(text) == want


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("int64", "expected"),
        ("[[0, int64, 5, 5]]", "the range is empty"),
        ("[[0, int65, 0, 5]]", "types: fp32"),
        ("[[0, int64, 0]]", "expected index"),
        ("[[0, int8, 0, 3], [0, int8, 0, 3]]", "twice"),
    ],
)
def test_bad_descs(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_descs(text)


def test_descs_of_other_inputs(tool: Command, tmp_path: Path) -> None:
    options = (f"--model={onnx_net(tmp_path / 'net.onnx')}", f"--outdir={tmp_path / 'out'}", "--target=BM1684")
    code, text = tool(*options, "--descs=[[1, float, 0, 1]]")
    assert code == 2 and "no input 1; the model has 1 (x)" in text
    code, text = tool(*options, "--descs=[[0, int8, 0, 5]]")
    assert code == 2 and "input 0 ('x') is float32, not int8" in text


def test_a_constant_integer() -> None:
    assert set(Desc("int32", 7, 8).draw((5,), np.random.default_rng(0))) == {7}


def test_shapes_of_several_inputs() -> None:
    declared = {"a": (None, 3), "scalar": (), "b": None, "c": (1, 2)}
    want = {"a": (4, 3), "scalar": (), "b": (5,), "c": (1, 2)}
    assert resolve_shapes(declared, [(4, 3), (5,), (1, 2)], False, None) == want
    with pytest.raises(UsageError, match=r"got 1 shape, the model has 3 inputs \(a, b, c\)"):
        resolve_shapes(declared, [(4, 3)], False, None)
    with pytest.raises(UsageError, match="'a': the model does not say dimension 0"):
        resolve_shapes(declared, [], False, None)
    assert resolve_shapes({"a": (None, 3), "scalar": ()}, [], False, 7) == {"a": (7, 3), "scalar": ()}
