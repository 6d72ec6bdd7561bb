"""A float network of `benchmarks.net` as the equivalent int8 TFLite model: weights symmetric per output channel,
activations int8 with a zero point, rectifiers fused, float at inputs and outputs, as TensorFlow's converter does it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from tools.tflite_writer import Op, Tensor, constant

from benchmarks.net import same_pads
from bittrue.errors import UnsupportedError

Array = np.ndarray[Any, Any]
NONE, RELU, RELU6 = 0, 1, 3  # ActivationFunctionType
SAME, VALID = 0, 1  # Padding
SAME_SCALE = ("MaxPool", "Concat", "Resize", "Flatten")  # inputs and outputs have one scale


def float_values(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Every activation of the float network by name, its inputs included."""
    names = [o for n in model.graph.node for o in n.output]
    traced = onnx.ModelProto()
    traced.CopyFrom(model)
    del traced.graph.output[:]
    traced.graph.output.extend(helper.make_empty_tensor_value_info(n) for n in names)
    session = onnxruntime.InferenceSession(traced.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip(names, session.run(names, dict(feeds)), strict=True)) | dict(feeds)


def tflite_ops(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> list[Op]:
    """The operators, calibrated with one sample. Raises UnsupportedError for nodes that `Net` does not write."""
    return _Export(model, float_values(model, feeds)).ops


def nhwc(value: Array) -> Array:
    """A picture in TFLite's order of dimensions; anything else as it is."""
    return np.ascontiguousarray(value.transpose(0, 2, 3, 1)) if value.ndim == 4 else value


class _Export:
    def __init__(self, model: onnx.ModelProto, values: Mapping[str, Array]) -> None:
        self.nodes = list(model.graph.node)
        self.constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        self.values = values
        self.readers = {i: [n for n in self.nodes if i in n.input] for i in values}
        self.outputs = {o.name for o in model.graph.output}
        self.fused = {n.output[0]: r for n in self.nodes if (r := self._rectifier(n))}
        absorbed = {r.output[0] for r in self.fused.values()}
        self.tensors = self._quantized_tensors()
        self.ops: list[Op] = []
        for i in model.graph.input:
            x = Tensor(f"{i.name}/float", "float32", self.tensors[i.name].shape)
            self.ops.append(Op("QUANTIZE", [x], self.tensors[i.name]))
        for node in self.nodes:
            if node.output[0] not in absorbed:
                self._emit(node)
        for o in model.graph.output:
            y = Tensor(f"{o.name}/float", "float32", self.tensors[o.name].shape)
            self.ops.append(Op("DEQUANTIZE", [self.tensors[o.name]], y))

    def _rectifier(self, node: onnx.NodeProto) -> onnx.NodeProto | None:
        """The node that is the rectifier of a sum and its only reader."""
        readers = self.readers[node.output[0]]
        if node.op_type not in ("Conv", "Add", "Gemm") or len(readers) != 1 or node.output[0] in self.outputs:
            return None
        return readers[0] if readers[0].op_type in ("Relu", "Clip") else None

    def _quantized_tensors(self) -> dict[str, Tensor]:
        """Range of the values with zero in it, the same one for all tensors that an op only moves."""
        group = {name: name for name in self.values}
        for node in self.nodes:
            if node.op_type in SAME_SCALE:
                joined = {group[i] for i in (*node.input, *node.output) if i in group}
                group = {n: min(joined) if g in joined else g for n, g in group.items()}
        low = dict.fromkeys(group.values(), 0.0)
        high = low.copy()
        for name, g in group.items():
            low[g] = min(low[g], float(self.values[name].min()))
            high[g] = max(high[g], float(self.values[name].max()))
        tensors = {}
        for name, g in group.items():
            scale = float(np.float32((high[g] - low[g]) / 255 or 1.0))
            zero = round(-128 - low[g] / scale)
            tensors[name] = Tensor(name, "int8", nhwc(self.values[name]).shape, scale, zero)
        for node in self.nodes:
            if node.op_type == "Sigmoid":  # the kernels take no other scale
                y = tensors[node.output[0]]
                y.scale, y.zero_point = 1 / 256, -128
        return tensors

    def _emit(self, node: onnx.NodeProto) -> None:
        if node.op_type not in _RULES:
            raise UnsupportedError(f"node '{node.name}': {node.op_type} is not written as TFLite")
        rectifier = self.fused.get(node.output[0])
        y = self.tensors[(rectifier or node).output[0]]
        inputs = [self.tensors[i] for i in node.input if i in self.tensors]
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        self.ops.append(_RULES[node.op_type](self, node, inputs, y, self._activation(rectifier), attributes))

    def _activation(self, rectifier: onnx.NodeProto | None) -> int:
        if rectifier is None:
            return NONE
        if rectifier.op_type == "Relu":
            return RELU
        limits = [float(self.constants[i]) for i in rectifier.input[1:]]
        if limits != [0.0, 6.0]:
            raise UnsupportedError(f"node '{rectifier.name}': a rectifier with the limits {limits}")
        return RELU6

    def sum_constants(self, node: onnx.NodeProto, x: Tensor, weights: Array, axis: int) -> list[Tensor]:
        """Weights, one scale per index of `axis`, and the bias in steps of the products."""
        largest = np.abs(weights).max(axis=tuple(i for i in range(weights.ndim) if i != axis))
        scales = np.maximum(largest / np.float32(127), np.float32(1e-12)).astype(np.float32)
        broadcast = scales.reshape([-1 if i == axis else 1 for i in range(weights.ndim)])
        steps = np.clip(np.rint(weights / broadcast), -127, 127).astype(np.int8)
        products = np.float32(x.scale) * scales
        bias = np.rint(self.constants[node.input[2]] / products.astype(np.float64)).astype(np.int32)
        w, b = node.input[1:3]
        return [constant(w, steps, scales, axis=axis), constant(b, bias, products)]


def _window(node: onnx.NodeProto, x: Tensor, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Padding and strides. Raises UnsupportedError for pads that TFLite cannot say."""
    kernel, strides = attributes["kernel_shape"], attributes["strides"]
    dilations = attributes.get("dilations", [1, 1])
    per_axis = [same_pads(x.shape[1 + k], kernel[k], strides[k], dilations[k])[1:] for k in (0, 1)]
    pads = list(attributes["pads"])
    if pads not in ([0] * 4, [p[0] for p in per_axis] + [p[1] for p in per_axis]):
        raise UnsupportedError(f"node '{node.name}': pads {pads} are neither SAME nor VALID")
    return {"Padding": SAME if any(pads) else VALID, "StrideH": strides[0], "StrideW": strides[1]}


def _conv(
    e: _Export, node: onnx.NodeProto, inputs: list[Tensor], y: Tensor, activation: int, attributes: Mapping[str, Any]
) -> Op:
    (x,), weights = inputs, e.constants[node.input[1]]
    depthwise = attributes["group"] > 1
    if depthwise and not attributes["group"] == x.shape[3] == y.shape[3]:
        raise UnsupportedError(f"node '{node.name}': {attributes['group']} groups")
    fields = {
        **_window(node, x, attributes),
        "FusedActivationFunction": activation,
        "DilationHFactor": attributes["dilations"][0],
        "DilationWFactor": attributes["dilations"][1],
    }
    if depthwise:
        stored = e.sum_constants(node, x, weights.transpose(1, 2, 3, 0), axis=3)
        return Op("DEPTHWISE_CONV_2D", [x, *stored], y, "DepthwiseConv2DOptions", {**fields, "DepthMultiplier": 1})
    return Op("CONV_2D", [x, *e.sum_constants(node, x, nhwc(weights), axis=0)], y, "Conv2DOptions", fields)


def _gemm(e: _Export, node: onnx.NodeProto, inputs: list[Tensor], y: Tensor, activation: int, _: Any) -> Op:
    stored = e.sum_constants(node, inputs[0], e.constants[node.input[1]].T, axis=0)
    fields = {"FusedActivationFunction": activation}
    return Op("FULLY_CONNECTED", [*inputs, *stored], y, "FullyConnectedOptions", fields)


def _add(_: _Export, __: onnx.NodeProto, inputs: list[Tensor], y: Tensor, activation: int, ___: Any) -> Op:
    return Op("ADD", inputs, y, "AddOptions", {"FusedActivationFunction": activation})


def _mul(_: _Export, __: onnx.NodeProto, inputs: list[Tensor], y: Tensor, activation: int, ___: Any) -> Op:
    return Op("MUL", inputs, y, "MulOptions", {"FusedActivationFunction": activation})


def _sigmoid(_: _Export, __: onnx.NodeProto, inputs: list[Tensor], y: Tensor, *___: Any) -> Op:
    return Op("LOGISTIC", inputs, y)


def _concat(_: _Export, __: onnx.NodeProto, inputs: list[Tensor], y: Tensor, *___: Any) -> Op:
    return Op("CONCATENATION", inputs, y, "ConcatenationOptions", {"Axis": 3})


def _resize(_: _Export, node: onnx.NodeProto, inputs: list[Tensor], y: Tensor, *__: Any) -> Op:
    size = constant(f"{node.name}/size", np.array(y.shape[1:3], np.int32))
    return Op("RESIZE_NEAREST_NEIGHBOR", [*inputs, size], y, "ResizeNearestNeighborOptions")


def _max_pool(
    _: _Export, node: onnx.NodeProto, inputs: list[Tensor], y: Tensor, __: int, attributes: Mapping[str, Any]
) -> Op:
    height, width = attributes["kernel_shape"]
    fields = {**_window(node, inputs[0], attributes), "FilterHeight": height, "FilterWidth": width}
    return Op("MAX_POOL_2D", inputs, y, "Pool2DOptions", fields)


def _mean(_: _Export, node: onnx.NodeProto, inputs: list[Tensor], y: Tensor, *__: Any) -> Op:
    axes = constant(f"{node.name}/axes", np.array([1, 2], np.int32))
    return Op("MEAN", [*inputs, axes], y, "ReducerOptions", {"KeepDims": True})


def _flatten(_: _Export, node: onnx.NodeProto, inputs: list[Tensor], y: Tensor, *__: Any) -> Op:
    shape = constant(f"{node.name}/shape", np.array(y.shape, np.int32))
    return Op("RESHAPE", [*inputs, shape], y, "ReshapeOptions")


_RULES: dict[str, Callable[..., Op]] = {
    "Conv": _conv, "Gemm": _gemm, "Add": _add, "Mul": _mul, "Sigmoid": _sigmoid, "Concat": _concat,
    "Resize": _resize, "MaxPool": _max_pool, "GlobalAveragePool": _mean, "Flatten": _flatten,
}  # fmt: skip
