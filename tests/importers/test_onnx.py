"""The ONNX frontend: every opset from 7 on gives the floats of the file, passes included; bad files get one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from bittrue.errors import DataError, UnsupportedError, UsageError
from bittrue.graph.onnx_io import from_onnx, to_onnx
from bittrue.graph.passes import PASSES, run_passes
from bittrue.importers import load_float_graph
from tests.importers.models import X, imported, model_of, outputs

RNG = np.random.default_rng(5)


def network(opset: int) -> onnx.ModelProto:
    """Convolution, batch normalization, activations and shape arithmetic in the spelling of an opset."""
    node = helper.make_node
    constants: dict[str, Any] = {
        "w": RNG.normal(0, 0.3, (8, 4, 3, 3)).astype(np.float32),
        "b": RNG.normal(0, 0.3, 8).astype(np.float32),
        "gamma": RNG.uniform(0.5, 2, 8).astype(np.float32),
        "beta": RNG.normal(0, 1, 8).astype(np.float32),
        "mean": RNG.normal(0, 1, 8).astype(np.float32),
        "var": RNG.uniform(0.5, 2, 8).astype(np.float32),
        "fc": RNG.normal(0, 0.3, (6, 8)).astype(np.float32),
        "zero": np.float32(0),
        "six": np.float32(6),
        "scales": np.float32([1, 1, 2, 2]),
        "roi": np.zeros(0, np.float32),
        "axes": np.int64([2, 3]),
        "start": np.int64([1]),
        "end": np.int64([100]),
        "axis2": np.int64([2]),
        "index": np.int64(0),
        "rest": np.int64([-1]),
    }
    nodes = [
        node("Conv", ["x", "w", "b"], ["c"], "conv", auto_pad="SAME_UPPER", strides=[2, 2]),
        node("BatchNormalization", ["c", "gamma", "beta", "mean", "var"], ["n"], "bn"),
        node("Clip", ["n"], ["r"], "relu6", min=0.0, max=6.0)
        if opset < 11
        else node("Clip", ["n", "zero", "six"], ["r"], "relu6"),
    ]
    if opset == 7:
        nodes.append(node("Upsample", ["r"], ["u"], "up", scales=[1.0, 1.0, 2.0, 2.0]))
    elif opset < 11:
        nodes.append(node("Upsample" if opset == 9 else "Resize", ["r", "scales"], ["u"], "up"))
    else:
        nodes.append(node("Resize", ["r", "roi", "scales"], ["u"], "up", coordinate_transformation_mode="asymmetric"))
    if opset < 10:
        nodes.append(node("Slice", ["u"], ["s"], "slice", starts=[1], ends=[100], axes=[2]))
    else:
        nodes.append(node("Slice", ["u", "start", "end", "axis2"], ["s"], "slice"))
    if opset < 18:
        nodes.append(node("ReduceMean", ["s"], ["m"], "mean", axes=[2, 3], keepdims=1))
    else:
        nodes.append(node("ReduceMean", ["s", "axes"], ["m"], "mean", keepdims=1))
    nodes += [
        node("Dropout", ["m"], ["d"], "dropout"),
        node("Shape", ["x"], ["shape"], "shape"),
        node("Gather", ["shape", "index"], ["batch"], "batch"),
        node("Unsqueeze", ["batch"], ["batch1"], "unsqueeze", axes=[0])
        if opset < 13
        else node("Unsqueeze", ["batch", "index1"], ["batch1"], "unsqueeze"),
        node("Concat", ["batch1", "rest"], ["target"], "target", axis=0),
        node("Reshape", ["d", "target"], ["f"], "flat"),
        node("Gemm", ["f", "fc", ""] if opset >= 11 else ["f", "fc", "bias6"], ["g"], "fc", transB=1, alpha=0.5),
        node("Softmax", ["g"], ["y"], "softmax", axis=1),
    ]
    constants["index1"] = np.int64([0])
    constants["bias6"] = np.zeros(6, np.float32)
    used = {i for n in nodes for i in n.input}
    return model_of(nodes, {k: v for k, v in constants.items() if k in used}, opset)


@pytest.mark.parametrize("opset", [7, 9, 10, 11, 13, 17, 18, 21])
def test_opsets(opset: int, tmp_path: Path) -> None:
    graph = imported(network(opset), tmp_path)
    ops = [n.op for n in graph.nodes]
    assert "BatchNormalization" not in ops and "Shape" not in ops and "Dropout" not in ops and "Clip" not in ops
    conv = graph.nodes[0]
    assert (conv.op, conv.attrs["pads"], [f.op for f in conv.fused]) == ("Conv", [1, 0, 1, 1], ["Clip"])


@pytest.mark.parametrize("name", [p for p in PASSES if p not in ("fold_constants", "canonical", "expand_1d")])
def test_passes_can_be_switched_off(name: str, tmp_path: Path) -> None:
    imported(network(13), tmp_path, disabled_passes=[name])


def test_pass_names_are_checked(tmp_path: Path) -> None:
    for name, message in (("magic", "no pass 'magic'"), ("canonical", "cannot be disabled")):
        with pytest.raises(UsageError, match=message):
            imported(network(13), tmp_path, disabled_passes=[name])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_windows(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    draw = data.draw
    op = draw(st.sampled_from(["Conv", "MaxPool", "AveragePool"]))
    kernel = [draw(st.integers(1, 4)), draw(st.integers(1, 4))]
    attrs: dict[str, Any] = {"strides": [draw(st.integers(1, 3)), draw(st.integers(1, 3))], "kernel_shape": kernel}
    pad = draw(st.sampled_from(["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    if pad.startswith("SAME"):  # onnxruntime computes negative pads for strides above the kernel
        attrs["strides"] = [min(s, k) for s, k in zip(attrs["strides"], kernel, strict=True)]
    if pad == "NOTSET":
        attrs["pads"] = [draw(st.integers(0, k - 1)) for k in (*kernel, *kernel)]
    else:
        attrs["auto_pad"] = pad
    constants = {}
    if op == "Conv":
        attrs["group"] = draw(st.sampled_from([1, 2, 4]))
        constants["w"] = RNG.normal(0, 1, (4, 4 // attrs["group"], *kernel)).astype(np.float32)
    node = helper.make_node(op, ["x", *constants], ["y"], "node", **attrs)
    graph = imported(model_of([node], constants, 13), tmp_path_factory.mktemp("m"))
    assert "auto_pad" not in graph.nodes[0].attrs and len(graph.nodes[0].attrs["pads"]) == 4


def test_one_dimensional_windows_become_two_dimensional(tmp_path: Path) -> None:
    constants = {"w": RNG.normal(0, 1, (6, 4, 3)).astype(np.float32)}
    node = helper.make_node("Conv", ["x", "w"], ["y"], "conv", pads=[2, 1], strides=[2], dilations=[2])
    graph = imported(model_of([node], constants, 13, (2, 4, 17)), tmp_path)
    assert [n.op for n in graph.nodes] == ["Reshape", "Conv", "Reshape"]
    assert graph.nodes[1].attrs["pads"] == [0, 2, 0, 1]


def test_pads_join_convolutions(tmp_path: Path) -> None:
    constants = {"w": RNG.normal(0, 1, (6, 4, 3, 3)).astype(np.float32), "p": np.int64([0, 0, 1, 2, 0, 0, 0, 1])}
    nodes = [helper.make_node("Pad", ["x", "p"], ["q"], "pad"), helper.make_node("Conv", ["q", "w"], ["y"], "conv")]
    graph = imported(model_of(nodes, constants, 13), tmp_path)
    assert [(n.op, n.attrs["pads"]) for n in graph.nodes] == [("Conv", [1, 2, 0, 1])]


def test_batch_normalization_alone_becomes_mul_and_add(tmp_path: Path) -> None:
    statistics = {k: RNG.uniform(0.5, 2, 4).astype(np.float32) for k in ("g", "b", "m", "v")}
    node = helper.make_node("BatchNormalization", ["x", *statistics], ["y"], "bn")
    graph = imported(model_of([node], statistics, 13), tmp_path)
    assert [n.op for n in graph.nodes] == ["Mul", "Add"]


def test_shapes(tmp_path: Path) -> None:
    relu = helper.make_node("Relu", ["x"], ["y"], "relu")
    dynamic = model_of([relu], {}, 13, ("batch", 3, "height", 8))
    with pytest.raises(UsageError, match=r"dimension 2 \('height'\) of input 'x'"):
        imported(dynamic, tmp_path)
    assert imported(dynamic, tmp_path, input_shapes={"x": (2, 3, 5, 8)}).types["y"].shape == (2, 3, 5, 8)
    with pytest.raises(UsageError, match="no input 'z'"):
        imported(dynamic, tmp_path, input_shapes={"z": (1,)})
    assert imported(model_of([relu], {}, 13, ("batch", 3)), tmp_path).types["x"].shape == (1, 3)
    with pytest.raises(DataError, match="size zero"):
        imported(model_of([relu], {}, 13, (1, 0, 4)), tmp_path)


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        load_float_graph(tmp_path / "missing.onnx")
    data = network(13).SerializeToString()
    for name, content in (("empty", b""), ("text", b"hello world"), ("cut", data[: len(data) // 3])):
        (tmp_path / f"{name}.onnx").write_bytes(content)
        with pytest.raises((DataError, UnsupportedError), match=rf"{name}\.onnx") as caught:
            load_float_graph(tmp_path / f"{name}.onnx")
        assert "\n" not in str(caught.value)
    foreign = model_of([helper.make_node("Magic", ["x"], ["y"], domain="other")], {}, 13)
    foreign.opset_import.append(helper.make_opsetid("other", 1))
    onnx.save(foreign, tmp_path / "foreign.onnx")
    with pytest.raises(UnsupportedError, match=r"other\.Magic"):
        load_float_graph(tmp_path / "foreign.onnx")


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 10**9), st.integers(0, 255))
def test_damaged_files_give_our_errors_only(
    tmp_path_factory: pytest.TempPathFactory, position: int, value: int
) -> None:
    data = bytearray(network(13).SerializeToString())
    data[position % len(data)] = value
    file = tmp_path_factory.mktemp("m") / "model.onnx"
    file.write_bytes(data)
    try:
        load_float_graph(file)
    except (DataError, UnsupportedError, UsageError) as e:
        assert "model.onnx" in str(e) or "input" in str(e)


def test_round_trip() -> None:
    graph = from_onnx(network(17))
    run_passes(graph)
    again = from_onnx(to_onnx(graph))
    assert again.inputs == graph.inputs and again.outputs == graph.outputs
    assert all(again.types[n] == t for n, t in graph.types.items() if n in again.types)
    feeds = {"x": RNG.normal(0, 1, X).astype(np.float32)}
    np.testing.assert_array_equal(outputs(to_onnx(again), feeds)[0], outputs(to_onnx(graph), feeds)[0])
