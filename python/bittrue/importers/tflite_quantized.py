"""Quantized TFLite models as quantized graphs, with the arithmetic of TFLite's reference kernels.

Convolutions and additions round twice (half up in the high multiply, half away in the last shift), fully connected
layers once; average pools divide half away, additions have 20 bits to spare: compared with LiteRT's reference kernels,
docs/tflite.md has the counts [measured]. No model at hand has a max pool or an output dequantized in the compared
part: these two are assumed. The graph is NCHW; `meta["layouts"]` names the tensors that TFLite stores as
NHWC, so that dumps can be compared.

A model is imported op by op; `meta["left_out"]` lists the ops without an integer meaning here and what follows them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from struct import error as struct_error
from typing import Any

import numpy as np
import tflite

from bittrue.errors import DataError, UnsupportedError
from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.graph.onnx_io import DOMAIN
from bittrue.quantize.model import QuantizedModel, TensorQuant
from bittrue.targets.factors import quantized_multiplier

Array = np.ndarray[Any, Any]
DTYPES = {
    tflite.TensorType.INT8: "int8", tflite.TensorType.UINT8: "uint8", tflite.TensorType.INT32: "int32",
    tflite.TensorType.FLOAT32: "float32", tflite.TensorType.INT64: "int64", tflite.TensorType.INT16: "int16",
}  # fmt: skip
OP_NAMES = {v: k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}
ADD_LEFT_SHIFT = 20  # of 8-bit additions
NONE, RELU, RELU_N1_TO_1, RELU6 = 0, 1, 2, 3  # ActivationFunctionType
ACTIVATION_RANGES = {RELU: (0.0, None), RELU_N1_TO_1: (-1.0, 1.0), RELU6: (0.0, 6.0)}  # of -1 to 1: assumed
SAME = 0


class Importer:
    """Adds one operator after the other to a graph."""

    def __init__(self, content: bytes, name: str) -> None:
        self.model = tflite.Model.GetRootAsModel(content, 0)
        self.source = self.model.Subgraphs(0)
        self.names = self._unique_names()
        self.graph = Graph(name)
        self.tensors: dict[str, TensorQuant] = {}
        self.layouts: dict[str, str] = {}

    def _unique_names(self) -> list[str]:
        names: list[str] = []
        for i in range(self.source.TensorsLength()):
            name = (self.source.Tensors(i).Name() or b"").decode("utf-8", "replace") or f"tensor_{i}"
            names.append(name if name not in names else f"{name}_{i}")
        return names

    def shape(self, i: int) -> tuple[int, ...]:
        """As stored: NHWC."""
        shape = self.source.Tensors(i).ShapeAsNumpy()
        return () if isinstance(shape, int) else tuple(int(v) for v in shape)

    def dtype(self, i: int) -> str:
        kind = self.source.Tensors(i).Type()
        if kind not in DTYPES:
            raise UnsupportedError(f"tensor '{self.names[i]}': element type {kind}")
        return DTYPES[kind]

    def scales(self, i: int) -> Array:
        """Scales in double, one or one per channel."""
        quantization = self.source.Tensors(i).Quantization()
        if quantization is None or quantization.ScaleLength() == 0:
            raise UnsupportedError(f"tensor '{self.names[i]}' is not quantized")
        scales: Array = quantization.ScaleAsNumpy().astype(np.float64)
        return scales

    def scale(self, i: int) -> float:
        return float(self.scales(i)[0])

    def factors(self, x: int, w: int, y: int, product32: bool) -> list[float]:
        """Input scale times weight scale by output scale, in double; product32: the product is rounded to binary32, as
        the kernels with one factor per tensor do."""
        products = [self.scale(x) * float(s) for s in self.scales(w)]
        if product32:
            products = [float(np.float32(p)) for p in products]
        return [p / self.scale(y) for p in products]

    def zero_points(self, i: int) -> list[int]:
        self.scales(i)  # refuses tensors that are not quantized
        return [int(z) for z in self.source.Tensors(i).Quantization().ZeroPointAsNumpy()]

    def zero_point(self, i: int) -> int:
        return self.zero_points(i)[0]

    def constant(self, i: int) -> Array | None:
        """Stored values; None for computed tensors."""
        buffer = self.model.Buffers(self.source.Tensors(i).Buffer())
        if buffer is None or buffer.DataLength() == 0:
            return None
        data = np.frombuffer(buffer.DataAsNumpy().tobytes(), self.dtype(i))
        return data.reshape(self.shape(i))

    def declare(self, i: int) -> str:
        """A computed tensor of the graph; four dimensions become NCHW."""
        name, shape = self.names[i], self.shape(i)
        if len(shape) == 4:
            self.layouts[name] = "NHWC"
            shape = (shape[0], shape[3], shape[1], shape[2])
        self.graph.types[name] = TensorType(self.dtype(i), shape)
        quantization = self.source.Tensors(i).Quantization()
        if quantization is not None and quantization.ScaleLength() == 1:
            scale, zero = self.scale(i), self.zero_point(i)
            info = np.iinfo(self.dtype(i))
            low, high = (info.min - zero) * scale, (info.max - zero) * scale
            self.tensors[name] = TensorQuant(self.dtype(i), scale, zero, max(-low, high), low, high, "tflite")
        return name

    def add(
        self, op: str, inputs: list[str], output: int | str, attrs: dict[str, Any], evidence: str = "measured"
    ) -> None:
        """A node whose layer name is its output's. evidence: whether a model at hand has this op compared."""
        name = self.declare(output) if isinstance(output, int) else output
        self.graph.nodes.append(Node(op, name, inputs, [name], {**attrs, "evidence": evidence}, DOMAIN))

    def channels_last(self, name: str) -> str:
        """A tensor of four dimensions as TFLite stores it, where an op counts its elements in that order."""
        shape = self.graph.types[name].shape
        if len(shape) != 4 or shape[2] == shape[3] == 1 or shape[1] == 1:
            return name
        other = self.graph.unique_name(f"{name}/nhwc")
        self.graph.types[other] = TensorType(self.graph.types[name].dtype, (shape[0], shape[2], shape[3], shape[1]))
        self.add("Transpose", [name], other, {"perm": [0, 2, 3, 1]})
        return other

    def activation(self, i: int, kind: int) -> dict[str, int]:
        """The clamp of a fused activation, in the output's steps."""
        info = np.iinfo(self.dtype(i))
        low, high = int(info.min), int(info.max)
        if kind != NONE:
            if kind not in ACTIVATION_RANGES:
                raise UnsupportedError(f"tensor '{self.names[i]}': fused activation {kind}")
            bottom, top = (None if v is None else self.quantized(i, v) for v in ACTIVATION_RANGES[kind])
            low, high = max(low, bottom if bottom is not None else low), min(high, top if top is not None else high)
        return {"zero_point": self.zero_point(i), "clamp_min": low, "clamp_max": high}

    def quantized(self, i: int, value: float) -> int:
        v = float(np.float32(value) / np.float32(self.scale(i)))
        return self.zero_point(i) + int(np.trunc(v + np.copysign(0.5, v)))


def doubled(factors: list[float], prefix: str = "") -> dict[str, Any]:
    """Rounding twice: the 31-bit multiplier and the shift of each factor."""
    pairs = [quantized_multiplier(f) for f in factors]
    return {
        f"{prefix}requant": "double_round",
        f"{prefix}multiplier": [m for m, _ in pairs],
        f"{prefix}shift": [-e for _, e in pairs],
        f"{prefix}rounding": "half_away",
    }


def single(factors: list[float]) -> dict[str, Any]:
    """Rounding once, half up: the exact product of the sum and the 31-bit multiplier is shifted."""
    pairs = [quantized_multiplier(f) for f in factors]
    return {"requant": "multiplier_shift", "multiplier": [m for m, _ in pairs], "shift": [31 - e for _, e in pairs]}


def pads(same: bool, size: int, out: int, stride: int, extent: int) -> tuple[int, int]:
    """TFLite's padding of one axis; the odd element goes to the end."""
    total = max(0, (out - 1) * stride + extent - size) if same else 0
    return total // 2, total - total // 2


def _options(operator: Any, kind: Any) -> Any:
    options, table = kind(), operator.BuiltinOptions()
    options.Init(table.Bytes, table.Pos)
    return options


def _window(m: Importer, o: Any, x: int, y: int, kernel: tuple[int, int], dilations: list[int]) -> dict[str, Any]:
    strides, same = [o.StrideH(), o.StrideW()], o.Padding() == SAME
    (top, bottom), (left, right) = (
        pads(same, m.shape(x)[1 + k], m.shape(y)[1 + k], strides[k], (kernel[k] - 1) * dilations[k] + 1) for k in (0, 1)
    )
    return {"strides": strides, "pads": [top, left, bottom, right], "dilations": dilations}


def _convolution(m: Importer, operator: Any, depthwise: bool) -> None:
    x, w, *rest = (int(i) for i in operator.InputsAsNumpy())
    y = int(operator.Outputs(0))
    o = _options(operator, tflite.DepthwiseConv2DOptions if depthwise else tflite.Conv2DOptions)
    weights = m.constant(w)
    if weights is None:
        raise UnsupportedError(f"'{m.names[y]}': computed weights")
    weights = weights.transpose(3, 0, 1, 2) if depthwise else weights.transpose(0, 3, 1, 2)
    dilations = [o.DilationHFactor(), o.DilationWFactor()]
    factors = m.factors(x, w, y, product32=m.dtype(w) == "uint8")
    group = m.shape(x)[3] if depthwise else m.shape(x)[3] // weights.shape[1]
    attrs = {
        **_window(m, o, x, y, (weights.shape[2], weights.shape[3]), dilations),
        **doubled(factors),
        **m.activation(y, o.FusedActivationFunction()),
        "x_zero_point": m.zero_point(x),
        "group": group,
    }
    if any(m.zero_points(w)):
        attrs["w_zero_point"] = m.zero_points(w)
    inputs = [m.names[x], m.graph.add_constant(m.names[w], np.ascontiguousarray(weights))]
    m.add("Conv2d", inputs + _bias(m, rest), y, attrs)


def _bias(m: Importer, rest: list[int]) -> list[str]:
    if not rest or rest[0] < 0:
        return []
    bias = m.constant(rest[0])
    return [] if bias is None else [m.graph.add_constant(m.names[rest[0]], bias)]


def _fully_connected(m: Importer, operator: Any) -> None:
    x, w, *rest = (int(i) for i in operator.InputsAsNumpy())
    y = int(operator.Outputs(0))
    o = _options(operator, tflite.FullyConnectedOptions)
    weights = m.constant(w)
    if weights is None:
        raise UnsupportedError(f"'{m.names[y]}': computed weights")
    flat = m.channels_last(m.names[x])
    rows = int(np.prod(m.shape(x))) // weights.shape[1]
    if m.graph.types[flat].shape != (rows, weights.shape[1]):
        reshaped = m.graph.unique_name(f"{m.names[x]}/flat")
        m.graph.types[reshaped] = TensorType(m.dtype(x), (rows, weights.shape[1]))
        m.add("Reshape", [flat], reshaped, {})
        flat = reshaped
    attrs = {
        **single(m.factors(x, w, y, product32=True)),
        **m.activation(y, o.FusedActivationFunction()),
        "a_zero_point": m.zero_point(x),
    }
    if any(m.zero_points(w)):
        attrs["b_zero_point"] = m.zero_points(w)
    weight = m.graph.add_constant(m.names[w], np.ascontiguousarray(weights.T))
    m.add("MatMul", [flat, weight, *_bias(m, rest)], y, attrs)


def _average_pool(m: Importer, operator: Any) -> None:
    x, y = int(operator.Inputs(0)), int(operator.Outputs(0))
    o = _options(operator, tflite.Pool2DOptions)
    kernel = (o.FilterHeight(), o.FilterWidth())
    window = _window(m, o, x, y, kernel, [1, 1])
    del window["dilations"]
    clamp = m.activation(y, o.FusedActivationFunction()) | {"zero_point": 0}
    attrs = {**window, **clamp, "kernel": list(kernel), "count_include_pad": 0}
    m.add("AvgPool2d", [m.names[x]], y, attrs | {"requant": "divide", "rounding": "half_away"})


def _max_pool(m: Importer, operator: Any) -> None:
    x, y = int(operator.Inputs(0)), int(operator.Outputs(0))
    o = _options(operator, tflite.Pool2DOptions)
    kernel = (o.FilterHeight(), o.FilterWidth())
    clamp = m.activation(y, o.FusedActivationFunction())
    del clamp["zero_point"]
    attrs = {**_window(m, o, x, y, kernel, [1, 1]), **clamp, "kernel": list(kernel)}
    m.add("MaxPool2d", [m.names[x]], y, attrs, evidence="assumed")


def _add(m: Importer, operator: Any) -> None:
    a, b, y = int(operator.Inputs(0)), int(operator.Inputs(1)), int(operator.Outputs(0))
    if m.constant(a) is not None or m.constant(b) is not None or m.shape(a) != m.shape(b):
        raise UnsupportedError(f"'{m.names[y]}': addition of a constant or of other shapes")
    twice = 2 * max(m.scale(a), m.scale(b))
    attrs = {
        **doubled([m.scale(a) / twice, m.scale(b) / twice], "input_"),
        **doubled([twice / (2.0**ADD_LEFT_SHIFT * m.scale(y))]),
        **m.activation(y, _options(operator, tflite.AddOptions).FusedActivationFunction()),
        "input_zero_point": [m.zero_point(a), m.zero_point(b)],
        "left_shift": ADD_LEFT_SHIFT,
    }
    m.add("Add", [m.names[a], m.names[b]], y, attrs)


def _reshape(m: Importer, operator: Any) -> None:
    x, y = int(operator.Inputs(0)), int(operator.Outputs(0))
    source = m.channels_last(m.names[x])
    shape = m.shape(y)
    if len(shape) != 4 or shape[3] == 1 or shape[1] == shape[2] == 1:
        m.add("Reshape", [source], y, {})
        return
    stored = m.graph.unique_name(f"{m.names[y]}/nhwc")
    m.graph.types[stored] = TensorType(m.dtype(y), shape)
    m.add("Reshape", [source], stored, {})
    m.add("Transpose", [stored], y, {"perm": [0, 3, 1, 2]})


def _pad(m: Importer, operator: Any) -> None:
    x, y = int(operator.Inputs(0)), int(operator.Outputs(0))
    amounts = m.constant(int(operator.Inputs(1)))
    if amounts is None or amounts.shape != (4, 2):
        raise UnsupportedError(f"'{m.names[y]}': padding that is computed or not of four dimensions")
    begins, ends = amounts[[0, 3, 1, 2]].T.tolist()
    m.add("Pad", [m.names[x]], y, {"pads": [*begins, *ends], "value": m.zero_point(x)})


def _concatenation(m: Importer, operator: Any) -> None:
    inputs, y = [int(i) for i in operator.InputsAsNumpy()], int(operator.Outputs(0))
    if any((m.scale(i), m.zero_point(i)) != (m.scale(y), m.zero_point(y)) for i in inputs):
        raise UnsupportedError(f"'{m.names[y]}': concatenation of different scales")
    axis = _options(operator, tflite.ConcatenationOptions).Axis() % len(m.shape(y))
    if len(m.shape(y)) == 4:
        axis = [0, 2, 3, 1][axis]
    m.add("Concat", [m.names[i] for i in inputs], y, {"axis": axis})


def _quantize(m: Importer, operator: Any) -> None:
    x, y = int(operator.Inputs(0)), int(operator.Outputs(0))
    if m.dtype(x) != "float32":
        raise UnsupportedError(f"'{m.names[y]}': requantization")
    attrs = {"scale": [m.scale(y)], "scale_op": "divide", "rounding": "half_away", "zero_point": m.zero_point(y)}
    m.add("Quantize", [m.names[x]], y, attrs)


def _dequantize(m: Importer, operator: Any) -> None:
    x, y = int(operator.Inputs(0)), int(operator.Outputs(0))
    m.add("Dequantize", [m.names[x]], y, {"scale": [m.scale(x)], "zero_point": m.zero_point(x)}, evidence="assumed")


RULES: dict[str, Callable[[Importer, Any], None]] = {
    "CONV_2D": lambda m, o: _convolution(m, o, depthwise=False),
    "DEPTHWISE_CONV_2D": lambda m, o: _convolution(m, o, depthwise=True),
    "FULLY_CONNECTED": _fully_connected,
    "AVERAGE_POOL_2D": _average_pool,
    "MAX_POOL_2D": _max_pool,
    "ADD": _add,
    "RESHAPE": _reshape,
    "PAD": _pad,
    "CONCATENATION": _concatenation,
    "QUANTIZE": _quantize,
    "DEQUANTIZE": _dequantize,
}


def load_tflite(path: Path) -> QuantizedModel:
    """A quantized .tflite file as a quantized graph, without the ops that have no integer meaning here.

    Raises DataError for files that are no TFLite model, UnsupportedError if nothing of it can be imported.
    """
    try:
        content = path.read_bytes()
    except OSError as e:
        raise DataError(f"{path}: cannot be read ({e.strerror})") from e
    if content[4:8] != b"TFL3":
        raise DataError(f"{path}: not a TFLite model")
    try:
        m = Importer(content, path.stem)
        left_out = _import(m)
    except UnsupportedError as e:
        raise UnsupportedError(f"{path}: {e}") from e
    except (IndexError, ValueError, AttributeError, TypeError, KeyError, struct_error) as e:
        raise DataError(f"{path}: a damaged TFLite model ({type(e).__name__})") from e
    if not m.graph.nodes:
        raise UnsupportedError(f"{path}: nothing can be imported: {left_out[0]}")
    m.graph.check()
    meta = {"layouts": m.layouts, "left_out": left_out}
    return QuantizedModel(m.graph, "tflite", "int8", {}, m.tensors, meta)


def _import(m: Importer) -> list[str]:
    """Adds the operators in order; returns what is left out, with the reason."""
    m.graph.inputs = [m.declare(int(i)) for i in m.source.InputsAsNumpy()]
    left_out: list[str] = []
    for k in range(m.source.OperatorsLength()):
        operator = m.source.Operators(k)
        code = m.model.OperatorCodes(operator.OpcodeIndex())
        kind = OP_NAMES.get(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), "unknown")
        output = m.names[int(operator.Outputs(0))]
        computed = [int(i) for i in operator.InputsAsNumpy() if i >= 0 and m.constant(int(i)) is None]
        missing = [m.names[i] for i in computed if m.names[i] not in m.graph.types]
        try:
            if missing:
                raise UnsupportedError(f"reads '{missing[0]}', which is left out")
            if kind not in RULES:
                raise UnsupportedError("no integer meaning here")
            RULES[kind](m, operator)
        except UnsupportedError as e:
            left_out.append(f"{kind} '{output}': {e}")
    read = {i for n in m.graph.nodes for i in n.inputs}
    m.graph.outputs = [o for n in m.graph.nodes for o in n.outputs if o not in read]
    return left_out
