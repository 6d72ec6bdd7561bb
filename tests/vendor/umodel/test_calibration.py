"""calibration_use_pb: options, fields of the prototxt, files, and what the INT8 umodel opens to."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.commands import Command, command
from tests.vendor.umodel.networks import SHAPE, Case, make_case

from bittrue.errors import DataError, UnsupportedError
from bittrue.importers.caffe.schema import new_message
from bittrue.runtime.session import Session
from bittrue.vendor.sophgo.umodel import QuantizedNetwork, is_int8_umodel, open_int8
from bittrue.vendor.sophgo.umodel.int8 import read_umodel

pytest.importorskip("lmdb")
DEPLOY = "net_deploy_int8_unique_top.prototxt"


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return command(monkeypatch, capsys, "calibration_use_pb")


@pytest.fixture
def quantized(tool: Command, tmp_path: Path) -> Callable[..., tuple[QuantizedNetwork, str]]:
    """Quantizes a case with some options and opens the result; returns it and the log."""

    def run(
        *options: str, shapes: dict[str, tuple[int, ...]] | None = None, **case: object
    ) -> tuple[QuantizedNetwork, str]:
        c = make_case(tmp_path, **case)  # type: ignore[arg-type]
        code, text = tool("quantize", f"-model={c.prototxt}", f"-weights={c.weights}", "-iterations=4", *options)
        assert code == 0, text
        return open_int8(tmp_path / DEPLOY, tmp_path / "net.int8umodel", shapes=shapes), text

    return run


def floats_of(q: QuantizedNetwork) -> set[str]:
    """Nodes of the quantized network that compute in float."""
    return {n.name for n in q.model.graph.nodes if n.op.startswith("Float")}


def test_files_and_log(tool: Command, tmp_path: Path) -> None:
    case = make_case(tmp_path)
    before = sorted(p.name for p in tmp_path.iterdir())
    code, text = tool("release", f"-model={case.prototxt}", f"-weights={case.weights}", "-iterations=4")
    assert code == 0
    written = sorted(p.name for p in tmp_path.iterdir() if p.name not in before)
    assert written == ["net.int8umodel"] + [
        f"net_{form}_{precision}_unique_top.prototxt" for form in ("deploy", "test") for precision in ("fp32", "int8")
    ]
    assert re.search(r"^I\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ \S+\] calibration for layer = conv1$", text, re.M)
    assert re.search(r"intput 0: set_scaleconvertbacktofloat_input_mul =0\.0\d+", text)
    assert "used time=0 hour:0 min:" in text and text.rstrip().endswith("int8 calibration done.")
    assert is_int8_umodel(tmp_path / "net.int8umodel") and not is_int8_umodel(case.weights)


def test_the_deploy_pair_alone_unless_asked(tool: Command, tmp_path: Path) -> None:
    case = make_case(tmp_path)
    arguments = (f"-model={case.prototxt}", f"-weights={case.weights}", "-iterations=2")
    assert tool("quantize", *arguments, "-nosave_model")[0] == 0
    assert not list(tmp_path.glob("net_test_*")) and not list(tmp_path.glob("*.int8umodel"))
    assert tool(*arguments, "quantize", "-save_test_proto=true")[0] == 0
    assert len(list(tmp_path.glob("net_test_*_unique_top.prototxt"))) == 2


def test_any_batch_computes_the_same(quantized: Callable[..., tuple[QuantizedNetwork, str]], tmp_path: Path) -> None:
    one, _ = quantized()
    three = open_int8(tmp_path / DEPLOY, tmp_path / "net.int8umodel", shapes={"data": (3, *SHAPE)})
    x = np.random.default_rng(3).standard_normal((3, *SHAPE)).astype(np.float32)
    alone = [Session(one.model.graph).run({"data": x[i : i + 1]}).outputs["prob"] for i in range(3)]
    together = Session(three.model.graph).run({"data": x}).outputs["prob"]
    np.testing.assert_array_equal(np.concatenate(alone), together)


def test_integers_beside_the_floats(quantized: Callable[..., tuple[QuantizedNetwork, str]], tmp_path: Path) -> None:
    q, _ = quantized()
    layers = {layer.name: layer for layer in read_umodel(tmp_path / "net.int8umodel").layer}
    weight, bias = layers["score"].blobs
    node = next(n for n in q.model.graph.nodes if n.name.startswith("score") and n.op == "MatMul")
    codes = np.frombuffer(weight.int8_data, np.int8).reshape(q.model.graph.constants[node.inputs[1]].shape)
    np.testing.assert_array_equal(codes, q.model.graph.constants[node.inputs[1]])
    real = np.asarray(weight.data, np.float32).reshape(weight.shape.dim).T
    assert weight.right_shift_num == node.attrs["shift"][0] and weight.bit_width == 0 and bias.bit_width == 1
    np.testing.assert_allclose(codes * weight.scaleToFloat, real, atol=0.51 * weight.scaleToFloat)
    assert np.asarray(bias.int32_data).size == 5


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["-fpfwd_inputs=conv1"], {"conv1"}),
        (["-fpfwd_outputs=pool"], {"pool", "score", "prob"}),
        (["-accuracy_opt"], {"conv2/dw"}),
        (["-fpfwd_blocks=conv3"], {"conv3"}),
    ],
)
def test_layers_that_stay_in_float(
    quantized: Callable[..., tuple[QuantizedNetwork, str]], options: list[str], expected: set[str]
) -> None:
    q, _ = quantized(*options)
    marked = {layer.name for layer in q.network.proto.layer if layer.forward_with_float}
    assert expected <= marked
    weighted = {n.partition("/product")[0] for n in floats_of(q)}
    assert {"conv1", "conv2/dw", "conv3", "score"} & weighted == {"conv1", "conv2/dw", "conv3", "score"} & expected


def test_float_by_field_of_the_prototxt(quantized: Callable[..., tuple[QuantizedNetwork, str]]) -> None:
    q, _ = quantized(fields={"conv3": "forward_with_float: true"})
    assert "conv3" in floats_of(q) and "conv1" not in floats_of(q)


def test_threshold_fields(quantized: Callable[..., tuple[QuantizedNetwork, str]]) -> None:
    plain, _ = quantized()
    fields = {"scale3": "threshold: 7.5", "pool": "th_scale: 2", "joined": "th_strategy: USE_MAX"}
    q, _ = quantized(fields=fields)
    before, after = plain.quantization.tensors, q.quantization.tensors
    assert after["scale3"].threshold == 7.5 and after["scale3"].source == "prototxt"
    assert after["pool"].threshold == pytest.approx(2 * before["pool"].threshold)
    row = after["joined"]
    assert row.threshold == max(abs(row.min), abs(row.max)) and row.method == "max"
    assert after["data"] == before["data"]


def test_divergence_where_the_method_is_none(quantized: Callable[..., tuple[QuantizedNetwork, str]]) -> None:
    kl, _ = quantized()
    q, text = quantized("-th_method=MAX", fields={"pool": "th_strategy: USE_KL"})
    assert q.quantization.tensors["pool"].threshold == kl.quantization.tensors["pool"].threshold
    assert q.quantization.tensors["scale3"].method == "max" and "use_max_as_th =1" in text


def test_a_merged_layer_with_fields_acts_on_the_merged_result(
    quantized: Callable[..., tuple[QuantizedNetwork, str]],
) -> None:
    q, text = quantized(fields={"conv3": "th_scale: 2", "scale1": "threshold: 3", "relu1": "threshold: 4"})
    assert "layer 'conv3' is merged into another; its threshold fields have no effect" in text
    name = next(n.outputs[0] for n in q.graph.nodes if n.name == "conv1")
    assert q.quantization.tensors[name].threshold == 4


def test_concat_takes_over_scales(quantized: Callable[..., tuple[QuantizedNetwork, str]]) -> None:
    q, _ = quantized("-fold_concat_scale")
    t = q.quantization.tensors
    assert t["scale2"].threshold == t["scale3"].threshold == t["joined"].threshold


def test_groups_and_equalization_are_made_again_when_opened(
    quantized: Callable[..., tuple[QuantizedNetwork, str]],
) -> None:
    q, text = quantized("-conv_group", "-per_channel", spread=True)
    assert "grouped by their range" in text and "equalized (powers_of_two)" in text
    assert any(n.name.startswith("conv1/group") for n in q.model.graph.nodes)
    wide, text = quantized("-per_channel", "-target=BM1684X")
    assert "have a scale per channel anyway" in text and wide.model.target == "bm1684x"


@pytest.mark.parametrize("method", ["KL", "symkl", "JSD", "ADMM", "ACIQ", "MAX", "PERCENTILE9999", "MSE"])
def test_every_threshold_method(quantized: Callable[..., tuple[QuantizedNetwork, str]], method: str) -> None:
    q, _ = quantized(f"-th_method={method}", "-th_binnum=512")
    assert q.quantization.method == method.lower() and q.quantization.samples == 4


def test_fewer_records_than_iterations(quantized: Callable[..., tuple[QuantizedNetwork, str]]) -> None:
    q, text = quantized("-iterations=50")
    assert q.quantization.samples == 6 and "6 records, 50 iterations were asked for" in text


def test_graph_transform(tool: Command, tmp_path: Path) -> None:
    case = make_case(tmp_path)
    arguments = [f"-model={case.prototxt}", f"-weights={case.weights}"]
    code, text = tool("graph_transform", *arguments, "-merge_scale_to_conv")
    assert code == 0 and re.search(r"max diff = \S+ max diff blob id :\d+ blob name: prob", text)
    prototxt, weights = tmp_path / "net_test.prototxt_optimized", tmp_path / "net.caffemodel_optimized"
    assert "BatchNorm" not in prototxt.read_text() and "Scale" not in prototxt.read_text()
    code, text = tool("quantize", f"-model={prototxt}", f"-weights={weights}", "-iterations=3")
    assert code == 0, text


@pytest.mark.parametrize("switch", ["-random_input_compare=false", "-use_data_compare"])
def test_self_check_on_data(tool: Command, tmp_path: Path, switch: str) -> None:
    case = make_case(tmp_path)
    arguments = ("graph_transform", f"-model={case.prototxt}", f"-weights={case.weights}", "-merge_scale_to_conv")
    random, data = tool(*arguments), tool(*arguments, switch)
    assert random[0] == data[0] == 0
    differences = [re.search(r"max diff = (\S+)", text) for _, text in (random, data)]
    assert all(differences) and differences[0] and differences[1] and differences[0][1] != differences[1][1]
    code, text = tool(*arguments, switch, "-fp32_diff=0")
    assert code == 1 and "Fail: only one compare!" in text and "layer 'prob' (Softmax)" in text


Change = Callable[[Case], None]


def replaced(old: str, new: str) -> Change:
    return lambda case: case.prototxt.write_text(case.prototxt.read_text().replace(old, new)) and None


def cut(case: Case) -> None:
    case.weights.write_bytes(case.weights.read_bytes()[:-40])


@pytest.mark.parametrize(
    ("change", "options", "code", "message"),
    [
        (replaced('type: "Data"', 'type: "Input"'), [], 4, "has no Data layer; quantization needs one"),
        (replaced('source: "pictures"', 'source: "gone"'), [], 4, "layer 'data': no data at 'gone'"),
        (replaced("scale: 0.02", "transform_op { op: NONE }"), [], 4, "transform_op and mean_value exclude each other"),
        (replaced('name: "conv3"', 'name: "conv9"'), [], 4, "layer 'conv9' (Convolution): no weights under this name"),
        (replaced("num_output: 4", "num_output: 5"), [], 4, "layer 'conv3' (Convolution): blob 0 has shape"),
        (replaced("dropout", "nothing"), ["-fpfwd_inputs=conv33"], 2, "no layer 'conv33' in"),
        (replaced('name: "pool"', 'name: "pool" th_scale: -1'), [], 4, ".prototxt:14: layer 'pool': th_scale -1"),
        (replaced('name: "pool"', 'name: "pool" wrong: 1'), [], 4, 'has no field named "wrong"'),
        (cut, [], 4, "net.caffemodel: not a caffemodel, or cut off"),
        (None, ["-th_binnum=1000"], 2, "--th_binnum=1000: one of 512, 1024, 2048, 4096"),
        (None, ["-bitwidth=TO_INT4"], 3, "only TO_INT8 exists"),
        (None, ["-target=BM1682"], 2, "--target=BM1682: one of BM1684"),
        (None, ["-th_methd=KL"], 2, "no option 'th_methd'; did you mean 'th_method'"),
        (None, ["graph_transform"], 2, "'graph_transform' is no option"),
    ],
)
def test_bad_input_gets_one_line(
    tool: Command, tmp_path: Path, change: Change | None, options: list[str], code: int, message: str
) -> None:
    case = make_case(tmp_path)
    if change:
        change(case)
    before = sorted(tmp_path.iterdir())
    got, text = tool("quantize", f"-model={case.prototxt}", f"-weights={case.weights}", *options)
    errors = [line for line in text.splitlines() if message in line]
    assert got == code and len(errors) == 1, text
    assert sorted(tmp_path.iterdir()) == before


def test_umodels_that_cannot_be_opened(quantized: Callable[..., tuple[QuantizedNetwork, str]], tmp_path: Path) -> None:
    quantized()
    path = tmp_path / "net.int8umodel"
    message = read_umodel(path)
    foreign = new_message("Umodel")
    foreign.CopyFrom(message)
    foreign.ClearField("quantization")
    path.write_bytes(foreign.SerializeToString())
    with pytest.raises(UnsupportedError, match="vendor layer extensions are unpublished"):
        open_int8(tmp_path / DEPLOY, path)
    blob = next(layer for layer in message.layer if layer.name == "conv3").blobs[0]
    blob.int8_data = bytes([blob.int8_data[0] ^ 1]) + blob.int8_data[1:]
    path.write_bytes(message.SerializeToString())
    with pytest.raises(DataError, match="layer 'conv3': the integers of blob 0 are not those"):
        open_int8(tmp_path / DEPLOY, path)
    message.quantization = b"{"
    path.write_bytes(message.SerializeToString())
    with pytest.raises(DataError, match="the record of the calibration is broken"):
        open_int8(tmp_path / DEPLOY, path)
    path.write_bytes(b"\xff" * 20)
    with pytest.raises(DataError, match="not a umodel, or cut off"):
        open_int8(tmp_path / DEPLOY, path)


def test_statistics_take_the_place_of_data(
    quantized: Callable[..., tuple[QuantizedNetwork, str]], tool: Command, tmp_path: Path
) -> None:
    dist = tmp_path / "net.dist"
    from_data, _ = quantized(f"-dump_dist={dist}", "-th_method=MAX")
    other, _ = quantized(f"-load_dist={dist}", "-th_method=PERCENTILE9999")
    again, _ = quantized(f"-load_dist={dist}", "-th_method=MAX")
    assert again.quantization == from_data.quantization != other.quantization
    arguments = (f"-model={tmp_path / 'net_test.prototxt'}", f"-weights={tmp_path / 'net.caffemodel'}")
    code, text = tool("quantize", *arguments, f"-load_dist={dist}", "-th_method=ADMM")
    assert code == 2 and "admm needs the values themselves" in text
    code, text = tool("quantize", *arguments, f"-load_dist={dist}", "-th_binnum=512")
    assert code == 2 and "--th_binnum=512: " in text and "has 2048" in text
    code, text = tool("quantize", *arguments, f"-load_dist={dist}", "-graph_transform", "-merge_scale_to_conv")
    assert code == 4 and "net.dist: statistics of" in text


def test_winograd_weights_lie_beside_the_others(
    quantized: Callable[..., tuple[QuantizedNetwork, str]], tmp_path: Path
) -> None:
    plain, text = quantized("-winograd")
    assert re.search(r"winograd: layer conv3: SQNR [-\d.]+ dB, [-\d.]+ dB without", text)
    assert re.search(r"winograd: output prob: SQNR", text)
    blob = next(layer for layer in read_umodel(tmp_path / "net.int8umodel").layer if layer.name == "conv3").blobs[0]
    assert len(blob.winograd_data_fixpoint) == 4 * 8 * 16 and blob.right_shift_num != 255
    assert not any(n.name.endswith("/tiles") for n in plain.model.graph.nodes)
    deploy, umodel = tmp_path / DEPLOY, tmp_path / "net.int8umodel"

    def tiles() -> set[str]:
        opened = open_int8(deploy, umodel, winograd=True)
        return {n.name for n in opened.model.graph.nodes if n.name.endswith("/tiles")}

    assert tiles() == {"conv1/tiles", "conv3/tiles"}  # depthwise convolutions never
    deploy.write_text(deploy.read_text().replace('name: "conv1"', 'name: "conv1" use_winograd: false'))
    assert tiles() == {"conv3/tiles"}
    deploy.write_text(deploy.read_text().replace("use_winograd: false", "use_winograd: true"))
    opened = open_int8(deploy, umodel)
    assert {n.name for n in opened.model.graph.nodes if n.name.endswith("/tiles")} == {"conv1/tiles"}
