"""Reading ONNX files without copies: the same model as the onnx package reads, and the same files are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from onnx import helper, numpy_helper

from bittrue import api
from bittrue.errors import DataError
from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.graph.onnx_file import read_outline
from bittrue.graph.onnx_io import from_onnx
from bittrue.quantize.model import QuantizedModel


def quantized() -> QuantizedModel:
    rng = np.random.default_rng(0)
    graph = Graph("net", inputs=["x"], outputs=["y"])
    graph.types |= {n: TensorType("int8", (1, 8, 6, 6)) for n in ("x", "y")}
    graph.add_constant("w", rng.integers(-128, 128, (8, 8, 3, 3)).astype(np.int8))
    graph.add_constant("b", rng.integers(-999, 999, 8).astype(np.int32))
    graph.add_constant("unused", rng.integers(0, 256, 5).astype(np.uint8))
    graph.add_constant("empty", np.zeros((0, 3), np.int8))
    graph.constants["nibbles"] = np.array([-8, 7, 3], np.int8)
    graph.types["nibbles"] = TensorType("int4", (3,))
    attrs = {"pads": [1, 1, 1, 1], "requant": "multiplier_shift", "multiplier": [5] * 8, "shift": [9] * 8}
    graph.nodes = [Node("Conv2d", "conv", ["x", "w", "b"], ["y"], attrs, "bittrue")]
    return QuantizedModel(graph, "bm1684", "int8")


def assert_reads_alike(path: Path) -> None:
    outline = read_outline(path)
    got, want = from_onnx(outline.model, outline.fill(path.parent)), from_onnx(onnx.load(str(path)))
    assert (got.nodes, got.types, got.inputs, got.outputs) == (want.nodes, want.types, want.inputs, want.outputs)
    assert list(got.constants) == list(want.constants)
    for name, value in want.constants.items():
        assert got.constants[name].dtype == value.dtype and got.constants[name].shape == value.shape
        np.testing.assert_array_equal(got.constants[name], value)


def test_the_same_model_as_the_onnx_package_reads(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(quantized().to_onnx(), str(path))
    assert_reads_alike(path)
    assert api.is_quantized_onnx(path)
    assert api.load(path).graph.constants["w"].base is not None  # a view


def test_fields_in_any_order_and_repeated_as_protobuf_allows(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    model = quantized().to_onnx()
    second = onnx.ModelProto()
    second.graph.initializer.append(numpy_helper.from_array(np.arange(200, dtype=np.uint8), "late"))
    raw_first = onnx.TensorProto(raw_data=bytes(range(3))).SerializeToString()
    rest = onnx.TensorProto(name="turned", data_type=onnx.TensorProto.INT8, dims=[2], raw_data=b"\x7f\x80")
    tensor = raw_first + rest.SerializeToString()  # the last one of a field counts
    graph = bytes([5 << 3 | 2, len(tensor)]) + tensor
    third = bytes([7 << 3 | 2, len(graph)]) + graph
    path.write_bytes(second.SerializeToString() + model.SerializeToString() + third)
    assert_reads_alike(path)


def test_values_in_files_beside_the_model(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(quantized().to_onnx(), str(path), save_as_external_data=True, location="net.data", size_threshold=0)
    assert_reads_alike(path)
    (tmp_path / "net.data").unlink()
    with pytest.raises(DataError, match=r"net\.onnx: not a readable ONNX model"):
        api.load(path)


def test_broken_files_are_refused_as_protobuf_refuses_them(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    data = quantized().to_onnx().SerializeToString()
    rng = np.random.default_rng(1)
    broken = [data[:n] for n in range(0, len(data), 3)]
    for _ in range(300):
        changed = bytearray(data)
        changed[rng.integers(len(data))] = rng.integers(256)
        broken.append(bytes(changed))
    for content in broken:
        path.write_bytes(content)
        try:
            onnx.ModelProto.FromString(content)
        except DecodeError:
            with pytest.raises(DecodeError):
                read_outline(path)
            with pytest.raises(DataError, match="not an ONNX model"):
                api.load(path)
            continue
        try:
            api.load(path)
        except DataError as e:
            assert "\n" not in str(e)


def test_other_files(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    with pytest.raises(DataError, match="not an ONNX model"):
        api.is_quantized_onnx(path)
    node = helper.make_node("Relu", ["x"], ["y"])
    values = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1]) for n in ("x", "y")]
    onnx.save(helper.make_model(helper.make_graph([node], "g", values[:1], values[1:])), str(path))
    assert not api.is_quantized_onnx(path)
    with pytest.raises(DataError, match="a float model"):
        api.load(path)
    model = quantized().to_onnx()
    model.graph.initializer[0].dims[0] = 9
    onnx.save(model, str(path))
    with pytest.raises(DataError, match="not a readable ONNX model"):
        api.load(path)
