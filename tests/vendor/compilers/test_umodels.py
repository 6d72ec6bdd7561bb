"""GenUmodel, and compiling umodels of both precisions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from tests.commands import Command, command
from tests.vendor.compilers.networks import SHAPE, caffe_blobs, caffe_files, caffe_text, onnx_file, onnx_net
from tests.vendor.umodel.networks import make_case

from bittrue import api
from bittrue.calibrate.float_runner import FloatRunner
from bittrue.containers.bmodel import read_bmodel
from bittrue.errors import UnsupportedError
from bittrue.graph.ir import Node
from bittrue.importers.caffe.read import read_caffemodel
from bittrue.importers.onnx import load_onnx
from bittrue.ops.registry import OPS
from bittrue.vendor.sophgo.compilers.to_caffe import KEPT_APART, to_caffe

RNG = np.random.default_rng(11)


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return command(monkeypatch, capsys)


def pair(folder: Path, letter: str) -> tuple[Path, Path]:
    stem = f"bm_network_bmnet{letter}"
    return folder / f"{stem}_test_fp32.prototxt", folder / f"{stem}.fp32umodel"


def test_caffe_to_umodel_and_back(tool: Command, tmp_path: Path) -> None:
    model, out = caffe_files(tmp_path), tmp_path / "umodel"
    code, text = tool(
        "bmnetc", *model, "--mode=GenUmodel", "--shapes=[2,3,16,16]", f"--outdir={out}", "--target=BM1684"
    )
    prototxt, umodel = pair(out, "c")
    assert code == 0 and sorted(out.iterdir()) == sorted((prototxt, umodel)) and "differs by 0 at most" in text
    stored = read_caffemodel(umodel)
    for name in ("conv1", "bn1", "scale1"):  # nothing is folded
        for array, own in zip(stored[name], caffe_blobs()[name], strict=True):
            np.testing.assert_array_equal(array, np.asarray(own, np.float32))
    code, _ = tool("bmnetu", f"-model={prototxt}", f"-weight={umodel}", f"-outdir={tmp_path / 'u'}", "-target=BM1684")
    assert code == 0
    assert tool("bmnetc", *model, "-shapes=2x3x16x16", f"-outdir={tmp_path / 'c'}", "-target=BM1684")[0] == 0
    for name in ("input_ref_data.dat", "output_ref_data.dat"):
        assert (tmp_path / "u" / name).read_bytes() == (tmp_path / "c" / name).read_bytes()


@pytest.mark.parametrize("declared", [True, False])
def test_inputs_of_the_older_form_and_of_none(tool: Command, tmp_path: Path, declared: bool) -> None:
    """`input:` fields, one of which nothing reads; or an input that the file does not declare."""
    fields = 'input: "data" input: "unread" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8 ' + "input_dim: 1 " * 4
    text = (fields if declared else "") + caffe_text().split("\n", 1)[1]
    model, out = caffe_files(tmp_path, text), tmp_path / "um"
    assert tool("bmnetc", *model, "-mode=GenUmodel", "-shapes=[1,3,12,12]", "-outdir", out, "-target=BM1684")[0] == 0
    prototxt, umodel = pair(out, "c")
    options = (f"-model={prototxt}", f"-weight={umodel}", f"-outdir={tmp_path / 'u'}", "-target=BM1684")
    assert tool("bmnetu", *options)[0] == 0
    (ref,) = read_bmodel(tmp_path / "u/compilation.bmodel").stages()
    assert ref.stage.input_tensor[0].shape[0].dim == [1, *SHAPE]


def test_onnx_to_umodel(tool: Command, tmp_path: Path) -> None:
    model = onnx_net(tmp_path / "net.onnx")
    code, text = tool("bmneto", f"-model={model}", "-mode=genumodel", f"-outdir={tmp_path / 'um'}", "-target=BM1684")
    assert code == 0 and "output 'y': the umodel's differs by" in text
    prototxt, umodel = pair(tmp_path / "um", "o")
    kinds = [line.split('"')[1] for line in prototxt.read_text().splitlines() if line.strip().startswith("type:")]
    assert kinds == [
        "Input", "Convolution", "BatchNorm", "Scale", "ReLU", "Pooling", "Pooling", "Pooling", "Concat", "Reshape",
        "InnerProduct", "Softmax",
    ]  # fmt: skip
    options = (f"-model={prototxt}", f"-weight={umodel}", "-target=BM1684", "-max_n=3", f"-outdir={tmp_path / 'u'}")
    assert tool("bmnetu", *options)[0] == 0 and api.verify(tmp_path / "u").summary.passed


def test_nodes_without_a_layer_are_all_listed(tool: Command, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Erf", ["x"], ["e"], "e"),
        helper.make_node("Relu", ["e"], ["r"], "r"),
        helper.make_node("Sin", ["r"], ["s"], "s"),
        helper.make_node("Conv", ["s", "w"], ["y"], "c", pads=[0, 0, 1, 1]),
    ]
    model = onnx_file(tmp_path / "net.onnx", nodes, {"w": np.ones((2, 3, 3, 3), np.float32)})
    code, text = tool("bmneto", f"-model={model}", "-mode=GenUmodel", f"-outdir={tmp_path / 'x'}", "-target=BM1684")
    assert code == 3 and not (tmp_path / "x").exists()
    assert "3 node(s) have no layer in Caffe: e (Erf): no such layer; s (Sin): no such layer; c (Conv): padding" in text


def test_shapes_that_the_weights_do_not_take(tool: Command, tmp_path: Path) -> None:
    options = (f"-model={onnx_net(tmp_path / 'net.onnx', ('n', 'c', 12, 12))}", "-shapes=[1,5,12,12]", "-target=BM1684")
    for mode in ("compile", "GenUmodel"):
        code, text = tool("bmneto", *options, f"-mode={mode}", f"-outdir={tmp_path / 'x'}")
        assert code in (3, 4) and "error: " in text and not (tmp_path / "x").exists()


def test_outputs_that_caffe_would_not_return(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["a"], "first"), helper.make_node("Sigmoid", ["a"], ["y"], "second")]
    model = onnx_file(tmp_path / "net.onnx", nodes, {}, outputs=("a", "y"))
    with pytest.raises(UnsupportedError, match="output 'a': layer 'second' reads it as well"):
        to_caffe(load_onnx(model, disabled_passes=KEPT_APART), model)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


CASES = {
    "deconvolution": ("ConvTranspose", {"w": normal(3, 4, 2, 2), "b": normal(4)}, {"strides": [2, 2]}),
    "depthwise": ("Conv", {"w": normal(3, 1, 3, 3)}, {"group": 3, "dilations": [2, 2], "pads": [2, 2, 2, 2]}),
    "ceil": ("MaxPool", {}, {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    "floor": ("MaxPool", {}, {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "average": ("AveragePool", {}, {"kernel_shape": [2, 2], "pads": [1, 1, 1, 1], "count_include_pad": 1}),
    "prelu": ("PRelu", {"slope": normal(3, 1, 1)}, {}),
    "elu": ("Elu", {}, {"alpha": 0.7}),
    "relu6": ("Clip", {"low": np.float32(0), "high": np.float32(6)}, {}),
    "clip": ("Clip", {"low": np.float32(-0.5), "high": np.float32(0.25)}, {}),
    "channel offset": ("Add", {"c": normal(3, 1, 1)}, {}),
    "channel factor": ("Mul", {"c": normal(1, 3, 1, 1)}, {}),
    "number": ("Add", {"c": np.float32(0.3)}, {}),
    "less a number": ("Sub", {"c": np.float32(0.3)}, {}),
    "negative": ("Neg", {}, {}),
    "lrn": ("LRN", {}, {"size": 3, "alpha": 0.01, "beta": 0.6, "bias": 2.0}),
    "permuted": ("Transpose", {}, {"perm": [0, 2, 3, 1]}),
    "softmax": ("Softmax", {}, {"axis": 1}),
    "part": ("Slice", {"from": np.array([3]), "to": np.array([9]), "axes": np.array([2])}, {}),
    "first part": ("Slice", {"from": np.array([0]), "to": np.array([2]), "axes": np.array([1])}, {}),
    "reshaped": ("Reshape", {"shape": np.array([0, -1])}, {}),
    "doubled": (
        "Resize",
        {"": np.float32(0), "scales": np.array([1, 1, 2, 2], np.float32)},
        {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    ),
    "tiled": ("Tile", {"repeats": np.array([1, 2, 1, 1])}, {}),
}


@pytest.mark.parametrize("name", CASES)
def test_a_layer_computes_what_its_node_computes(tmp_path: Path, name: str) -> None:
    op, constants, attributes = CASES[name]
    node = helper.make_node(op, ["x", *constants], ["y"], "node", **attributes)
    model = onnx_file(tmp_path / "net.onnx", [node], {n: np.asarray(v) for n, v in constants.items() if n}, (2, *SHAPE))
    graph = load_onnx(model, disabled_passes=KEPT_APART)
    again = to_caffe(graph, model).graph()
    x = {"x": normal(2, *SHAPE)}
    expected, (got,) = FloatRunner(graph).run(x)["y"], FloatRunner(again).run(x).values()
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_a_conversion_that_computes_something_else_writes_nothing(
    tool: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = onnx_net(tmp_path / "net.onnx")
    from bittrue.vendor.sophgo.compilers import to_caffe as module

    monkeypatch.setitem(module.RULES, "LeakyRelu", lambda w: w.add("ReLU"))
    options = (f"-model={model}", "-mode=GenUmodel", f"-outdir={tmp_path / 'x'}", "-target=BM1684")
    code, text = tool("bmneto", *options)
    assert code == 1 and "error: output 'y' of the umodel differs by" in text and not (tmp_path / "x").exists()


def test_precision_and_batch_of_umodels(tool: Command, tmp_path: Path) -> None:
    model = [o.replace("--weight", "-weight") for o in caffe_files(tmp_path)]
    options = ("-target=BM1684", f"-outdir={tmp_path / 'out'}")
    code, text = tool("bmnetu", *model, *options, "-prec=INT8")
    assert code == 4 and "an FP32 umodel; --prec=INT8 says otherwise" in text
    code, text = tool("bmnetu", *model, *options, "-max_n=2", "-shapes=[1,3,12,12]")
    assert code == 2 and "max_n: 2 contradicts the batch of 1" in text
    assert not (tmp_path / "out").exists()
    code, text = tool("bmnetu", *model, *options, "-max_n=2", "-use_wino")
    assert code == 0 and "--use_wino has no effect" in text
    (ref,) = read_bmodel(tmp_path / "out/compilation.bmodel").stages()
    assert ref.stage.input_tensor[0].shape[0].dim == [2, *SHAPE]


def test_int8_umodels(tool: Command, tmp_path: Path) -> None:
    """The second half of document 000: quantize, compile for two batches, combine, run."""
    pytest.importorskip("lmdb")
    case = make_case(tmp_path)
    quantize = ("quantize", f"-model={case.prototxt}", f"-weights={case.weights}", "-iterations=4")
    assert tool("calibration_use_pb", *quantize)[0] == 0
    pair = (f"-model={tmp_path / 'net_deploy_int8_unique_top.prototxt'}", f"-weight={tmp_path / 'net.int8umodel'}")
    for n in (1, 4):
        options = (f"-max_n={n}", "-prec=INT8", "-dyn=0", "-cmp=1", "-target=BM1684", f"-outdir={tmp_path / f'b{n}'}")
        code, text = tool("bmnetu", *pair, *options)
        assert code == 0 and "for BM1684 int8" in text, text
    assert tool("bm_model.bin", "--combine_dir", tmp_path / "b1", tmp_path / "b4", "-o", tmp_path / "both")[0] == 0
    code, text = tool("bmrt_test", "--context_dir", tmp_path / "both", "--strict")
    assert code == 0 and text.count("cmp success") == 2
    for option, code, message in (
        ("-target=BM1682", 3, "target BM1682 runs fp32 only"),
        ("-target=BM1684X", 4, "quantized for bm1684, not for bm1684x"),
        ("-prec=FP32", 4, "an INT8 umodel; --prec=FP32 says otherwise"),
    ):
        words = {"-prec": "-prec=INT8", "-target": "-target=BM1684"} | {option.partition("=")[0]: option}
        got, text = tool("bmnetu", *pair, *words.values(), f"-outdir={tmp_path / 'x'}")
        assert (got, (tmp_path / "x").exists()) == (code, False) and message in text


def test_ties_of_a_quantized_layer_are_named(tool: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference rounds ties away from zero; no other element changes."""
    pytest.importorskip("lmdb")
    case = make_case(tmp_path)
    quantize = ("quantize", f"-model={case.prototxt}", f"-weights={case.weights}", "-iterations=4")
    assert tool("calibration_use_pb", *quantize)[0] == 0
    conv = OPS["Conv2d"]

    def other(node: Node, *rest: Any) -> Any:
        return conv.evaluate(replace(node, attrs={**node.attrs, "rounding": "half_away"}), *rest)

    monkeypatch.setitem(OPS, "Conv2d", replace(conv, evaluate=other))
    pair = (f"-model={tmp_path / 'net_deploy_int8_unique_top.prototxt'}", f"-weight={tmp_path / 'net.int8umodel'}")
    code, text = tool("bmnetu", *pair, "-prec=INT8", "-max_n=4", "-target=BM1684", "-v=1", f"-outdir={tmp_path / 'x'}")
    assert code == 1 and "(Conv2d): " in text and "cause: ties; PROVEN" in text and not (tmp_path / "x").exists()


def test_dynamic_int8(tool: Command, tmp_path: Path) -> None:
    pytest.importorskip("lmdb")
    case = make_case(tmp_path)
    quantize = ("quantize", f"-model={case.prototxt}", f"-weights={case.weights}", "-iterations=4")
    assert tool("calibration_use_pb", *quantize)[0] == 0
    pair = (f"-model={tmp_path / 'net_deploy_int8_unique_top.prototxt'}", f"-weight={tmp_path / 'net.int8umodel'}")
    options = (*pair, "-prec=INT8", "-target=BM1684")
    assert tool("bmnetu", *options, "-max_n=4", "-dyn", f"-outdir={tmp_path / 'dyn'}")[0] == 0
    assert tool("bmnetu", *options, "-max_n=2", f"-outdir={tmp_path / 'own'}")[0] == 0
    for name in ("input_ref_data.dat", "output_ref_data.dat"):
        (tmp_path / "dyn" / name).write_bytes((tmp_path / "own" / name).read_bytes())
    code, text = tool("bmrt_test", "--context_dir", tmp_path / "dyn", "--shapes", "[2,3,12,12]", "--strict")
    assert code == 0 and "cmp success" in text


def test_integers_as_inputs_have_no_layer(tool: Command, tmp_path: Path) -> None:
    nodes = [helper.make_node("Gather", ["table", "x"], ["y"], "g")]
    model = onnx_file(tmp_path / "g.onnx", nodes, {"table": normal(9, 2)}, (4,), dtype=TensorProto.INT64)
    code, text = tool("bmneto", f"-model={model}", "-mode=GenUmodel", f"-outdir={tmp_path / 'x'}", "-target=BM1684")
    assert code == 3 and "input 'x': int64" in text
