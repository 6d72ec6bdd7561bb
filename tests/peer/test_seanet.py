"""TFLite-Micro's int16 single-operator models (seanet) through the generic ops, bit by bit.

The arithmetic is TFLite's: int16 convolutions sum in 64 bits and scale by a 16-bit multiplier; the others round twice.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tflite

from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.importers.tflite_quantized.scaling import doubled, wide
from bittrue.importers.tflite_quantized.sums import pads
from bittrue.ops import evaluate_graph
from bittrue.runtime.session import Session
from tests.shared import SHARED, needs_shared

FOLDER = (SHARED or Path()) / "peer/seanet"
OPS = ("conv", "transpose_conv", "leaky_relu", "add", "sub", "quantize")
FILES = sorted(f for op in OPS for f in (FOLDER / op).glob("*.tflite")) if SHARED else []
DTYPES = {tflite.TensorType.INT16: "int16", tflite.TensorType.INT8: "int8", tflite.TensorType.INT32: "int32"}
DTYPES[tflite.TensorType.INT64] = "int64"


class Model:
    """The only operator of a model, its tensors and its recorded data."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.model = tflite.Model.GetRootAsModel(file.read_bytes(), 0)
        self.graph = self.model.Subgraphs(0)
        self.op = self.graph.Operators(0)
        self.inputs = [int(i) for i in self.op.InputsAsNumpy()]
        self.output = int(self.op.Outputs(0))

    def shape(self, i: int) -> tuple[int, ...]:
        return tuple(int(v) for v in self.graph.Tensors(i).ShapeAsNumpy())

    def dtype(self, i: int) -> str:
        return DTYPES[self.graph.Tensors(i).Type()]

    def scale(self, i: int) -> np.ndarray:
        return self.graph.Tensors(i).Quantization().ScaleAsNumpy().astype(np.float64)

    def constant(self, i: int) -> np.ndarray:
        data = self.model.Buffers(self.graph.Tensors(i).Buffer()).DataAsNumpy()
        return np.frombuffer(data.tobytes(), self.dtype(i)).reshape(self.shape(i))

    def options(self, kind: Any) -> Any:
        options = kind()
        table = self.op.BuiltinOptions()
        options.Init(table.Bytes, table.Pos)
        return options

    def recorded(self, suffix: str, i: int) -> np.ndarray:
        (file,) = self.file.parent.glob(f"{self.file.stem}_{suffix}_*.csv")
        text = file.read_text().replace("\n", ",")
        return np.array([int(v) for v in text.split(",") if v.strip()], self.dtype(i)).reshape(self.shape(i))


def clamp(activation: int, dtype: str) -> dict[str, int]:
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    return {"clamp_min": 0 if activation == tflite.ActivationFunctionType.RELU else low, "clamp_max": high}


def channels_first(a: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(a.transpose(0, 3, 1, 2))


def build(m: Model) -> tuple[str, list[np.ndarray], list[np.ndarray], dict[str, Any], np.ndarray]:
    """(op, run-time inputs, constants, attributes, expected output)."""
    kind, out = m.file.parent.name, m.output
    want = m.recorded("golden", out)
    scale_out = float(m.scale(out)[0])
    if kind == "conv":
        o = m.options(tflite.Conv2DOptions)
        x, w = channels_first(m.recorded("input0", m.inputs[0])), channels_first(m.constant(m.inputs[1]))
        factors = [float(m.scale(m.inputs[0])[0]) * float(s) / scale_out for s in m.scale(m.inputs[1])]
        same, strides = o.Padding() == tflite.Padding.SAME, [o.StrideH(), o.StrideW()]
        dilations = [o.DilationHFactor(), o.DilationWFactor()]
        h, v = (
            pads(same, x.shape[2 + i], want.shape[1 + i], strides[i], (w.shape[2 + i] - 1) * dilations[i] + 1)
            for i in (0, 1)
        )
        attrs = {"strides": strides, "dilations": dilations, "pads": [h[0], v[0], h[1], v[1]], **wide(factors)}
        bias = [m.constant(i) for i in m.inputs[2:] if i >= 0]
        return "Conv2d", [x], [w, *bias], attrs | clamp(o.FusedActivationFunction(), "int16"), channels_first(want)
    if kind == "transpose_conv":
        o = m.options(tflite.TransposeConvOptions)
        x, w = m.recorded("input1", m.inputs[2]), m.constant(m.inputs[1]).transpose(3, 0, 1, 2)
        factors = [float(m.scale(m.inputs[2])[0]) * float(s) / scale_out for s in m.scale(m.inputs[1])]
        strides = [o.StrideH(), o.StrideW()]
        begins = [
            max(0, (x.shape[1 + i] - 1) * strides[i] + w.shape[2 + i] - want.shape[1 + i]) // 2
            if o.Padding() == tflite.Padding.SAME
            else 0
            for i in (0, 1)
        ]
        attrs = {"strides": strides, "pads": [*begins, 0, 0], **wide(factors)}
        bias = [m.constant(i) for i in m.inputs[3:] if i >= 0]
        return "ConvTranspose2d", [channels_first(x)], [np.ascontiguousarray(w), *bias], attrs, channels_first(want)
    if kind == "leaky_relu":
        x = m.recorded("input0", m.inputs[0])
        # TFLite forms these two factors in binary32.
        scale_in, one_out = np.float32(m.scale(m.inputs[0])[0]), np.float32(scale_out)
        alpha = np.float32(m.options(tflite.LeakyReluOptions).Alpha())
        attrs = doubled([float(scale_in / one_out)]) | doubled([float(scale_in * alpha / one_out)], "negative_")
        return "Prelu", [x], [np.ones(1, np.int8)], attrs, want
    if kind in ("add", "sub"):
        o = m.options(tflite.AddOptions if kind == "add" else tflite.SubOptions)
        both = [m.recorded(f"input{i}", t) for i, t in enumerate(m.inputs)]
        scales = [float(m.scale(t)[0]) for t in m.inputs]
        twice = 2 * max(scales)
        attrs = doubled([s / twice for s in scales], "input_") | doubled([twice / (2.0**15 * scale_out)])
        attrs |= {"left_shift": 15, "signs": [1, 1 if kind == "add" else -1]}
        return "Add", both, [], attrs | clamp(o.FusedActivationFunction(), "int16"), want
    x = m.recorded("input0", m.inputs[0])
    return "Requantize", [x], [], doubled([float(m.scale(m.inputs[0])[0]) / scale_out]), want


@needs_shared
def test_all_models_are_here() -> None:
    assert len(FILES) == 37


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_golden(file: Path) -> None:
    op, inputs, constants, attrs, want = build(Model(file))
    graph = Graph(op, outputs=["y"], types={"y": TensorType(want.dtype.name, want.shape)})
    feeds = {}
    for i, x in enumerate(inputs):
        graph.inputs.append(f"x{i}")
        graph.types[f"x{i}"] = TensorType(x.dtype.name, x.shape)
        feeds[f"x{i}"] = x
    names = [graph.add_constant(f"c{i}", c) for i, c in enumerate(constants)]
    graph.nodes = [Node(op, "node", [*graph.inputs, *names], ["y"], attrs, "bittrue")]
    np.testing.assert_array_equal(evaluate_graph(graph, feeds)["y"], want)
    for path in ("reference", None):
        np.testing.assert_array_equal(Session(graph, path=path).run(feeds).outputs["y"], want)
