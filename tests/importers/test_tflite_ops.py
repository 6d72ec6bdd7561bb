"""Every rule of the TFLite importer on random operators: equal to LiteRT's reference kernel in every element."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bittrue.importers.tflite_quantized import load_tflite
from bittrue.verify.explain.dump import explain_dump

pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
from tools.litert_dump import litert_dump
from tools.tflite_writer import Op, Tensor, constant, write_tflite

EXAMPLES = 20  # of each family
PADDING = {"SAME": 0, "VALID": 1}


class Draw:
    """Random operators."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data
        self.rng = np.random.default_rng(self.integer(0, 2**31))

    def of(self, *values: Any) -> Any:
        return self.data.draw(st.sampled_from(values))

    def integer(self, low: int, high: int) -> int:
        return self.data.draw(st.integers(low, high))

    def scale(self, low: float = 0.002, high: float = 0.3) -> float:
        return float(np.float32(np.exp(self.rng.uniform(np.log(low), np.log(high)))))

    def zero_point(self, dtype: str) -> int:
        info = np.iinfo(dtype)
        return 0 if dtype == "int16" else self.of(0, int(self.rng.integers(info.min, info.max + 1)))

    def tensor(self, name: str, dtype: str, shape: tuple[int, ...], like: Tensor | None = None) -> Tensor:
        if like:
            return Tensor(name, dtype, shape, like.scale, like.zero_point)
        return Tensor(name, dtype, shape, self.scale(), self.zero_point(dtype))

    def values(self, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
        info = np.iinfo(dtype)
        return self.rng.integers(max(info.min, -(2**14)), min(info.max, 2**14) + 1, shape).astype(dtype)

    def activation(self) -> int:
        return self.of(0, 1, 2, 3)

    def shape(self, low: int = 1, high: int = 5) -> tuple[int, ...]:
        return tuple(self.integer(low, high) for _ in range(self.integer(1, 4)))

    def image(self) -> tuple[int, int, int, int]:
        return (self.integer(1, 2), self.integer(3, 8), self.integer(3, 8), self.integer(1, 5))


def windowed(d: Draw, image: tuple[int, ...], kernel: tuple[int, int]) -> tuple[dict[str, Any], tuple[int, int]]:
    """(fields, output height and width)."""
    padding, strides = d.of("SAME", "VALID"), (d.integer(1, 2), d.integer(1, 2))
    size = tuple(
        -(-image[1 + k] // strides[k]) if padding == "SAME" else (image[1 + k] - kernel[k]) // strides[k] + 1
        for k in (0, 1)
    )
    fields = {"Padding": PADDING[padding], "StrideH": strides[0], "StrideW": strides[1]}
    return fields | {"FusedActivationFunction": d.activation()}, size  # type: ignore[return-value]


def convolution(d: Draw) -> Op:
    dtype, depthwise = d.of("int8", "uint8", "int16"), d.of(True, False)
    image, kernel = d.image(), (d.integer(1, 3), d.integer(1, 3))
    fields, size = windowed(d, image, kernel)
    multiplier = d.integer(1, 2)
    channels = image[3] * multiplier if depthwise else d.integer(1, 6)
    x, y = d.tensor("x", dtype, image), d.tensor("y", dtype, (image[0], *size, channels))
    if dtype == "uint8":
        scale, zero, axis, kind = d.scale(0.005, 0.02), d.zero_point(dtype), 0, dtype
    else:
        scale, zero, axis, kind = [d.scale(0.005, 0.02) for _ in range(channels)], 0, 3 if depthwise else 0, "int8"
    shape = (1, *kernel, channels) if depthwise else (channels, *kernel, image[3])
    w = constant("w", np.maximum(d.values(kind, shape), -127 if kind == "int8" else 0), scale, zero, axis)
    bias = d.values("int16", (channels,)).astype("int64" if dtype == "int16" else "int32")
    b = constant("b", bias, (np.float32(x.scale) * np.atleast_1d(np.float32(scale))).tolist())
    name = "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions"
    fields |= {"DepthMultiplier": multiplier} if depthwise else {}
    fields |= {"DilationHFactor": 1, "DilationWFactor": 1}
    return Op("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", [x, w, b], y, name, fields)


def fully_connected(d: Draw) -> Op:
    dtype, per_channel = d.of("int8", "uint8", "int16"), d.of(True, False)
    rows, depth, outputs = d.integer(1, 3), d.integer(1, 9), d.integer(1, 6)
    per_channel = per_channel and dtype != "uint8"
    kind = "uint8" if dtype == "uint8" else "int8"
    scale = [d.scale(0.005, 0.02) for _ in range(outputs)] if per_channel else d.scale(0.005, 0.02)
    w = constant("w", d.values(kind, (outputs, depth)), scale, d.zero_point(kind) if kind == "uint8" else 0)
    bias = d.values("int16", (outputs,)).astype("int64" if dtype == "int16" else "int32")
    x, y = d.tensor("x", dtype, (rows, depth)), d.tensor("y", dtype, (rows, outputs))
    b = constant("b", bias, (np.float32(x.scale) * np.atleast_1d(np.float32(scale))).tolist())
    fields = {"FusedActivationFunction": d.activation()}
    return Op("FULLY_CONNECTED", [x, w, b], y, "FullyConnectedOptions", fields)


def pool(d: Draw) -> Op:
    dtype, image, kernel = d.of("int8", "uint8", "int16"), d.image(), (d.integer(1, 3), d.integer(1, 3))
    fields, size = windowed(d, image, kernel)
    x = d.tensor("x", dtype, image)
    y = d.tensor("y", dtype, (image[0], *size, image[3]), like=x)
    fields |= {"FilterHeight": kernel[0], "FilterWidth": kernel[1]}
    return Op(d.of("AVERAGE_POOL_2D", "MAX_POOL_2D"), [x], y, "Pool2DOptions", fields)


def binary(d: Draw) -> Op:
    kind, dtype, shape = d.of("ADD", "SUB", "MUL"), d.of("int8", "uint8", "int16"), d.shape()
    a, y = d.tensor("a", dtype, shape), d.tensor("y", dtype, shape)
    if d.of(True, False):
        other = d.of(shape, shape[-1:], (1,) * len(shape), ())
        b = constant("b", d.values(dtype, other), d.scale(), d.zero_point(dtype))
    else:
        b = d.tensor("b", dtype, shape)
    if kind == "MUL" and dtype == "int16":
        y.scale = float(np.float32(a.scale * b.scale * 1.5))  # a factor above 1 overflows inside the kernel
    fields = {"FusedActivationFunction": d.activation()}
    if kind != "MUL" and dtype == "int16":
        fields["PotScaleInt16"] = False
    return Op(kind, [a, b], y, f"{kind.capitalize()}Options", fields)


def reduction(d: Draw) -> Op:
    dtype, shape, keep = d.of("int8", "uint8", "int16"), d.shape(), d.of(True, False)
    kind = d.of("MEAN", "SUM") if dtype == "uint8" else "MEAN"
    axes = d.data.draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, max_size=len(shape), unique=True))
    left = tuple(1 if i in axes else n for i, n in enumerate(shape) if keep or i not in axes)
    x, y = d.tensor("x", dtype, shape), d.tensor("y", dtype, left)
    return Op(kind, [x, constant("axes", np.array(axes, np.int32))], y, "ReducerOptions", {"KeepDims": keep})


def arg_max(d: Draw) -> Op:
    shape = d.shape()
    axis = d.integer(0, len(shape) - 1)
    x = d.tensor("x", d.of("int8", "uint8"), shape)
    y = Tensor("y", "int64", shape[:axis] + shape[axis + 1 :])
    where = constant("axis", np.array([axis], np.int32))
    return Op("ARG_MAX", [x, where], y, "ArgMaxOptions", {"OutputType": 4})


def softmax(d: Draw) -> Op:
    dtype, shape = d.of("int8", "uint8"), (*d.shape(), d.integer(1, 12))[-4:]
    out = d.of(dtype, "int16") if dtype == "int8" else dtype
    zero = {"int8": -128, "uint8": 0, "int16": -32768}[out]
    x = Tensor("x", dtype, shape, d.scale(0.002, 2.0), d.zero_point(dtype))
    y = Tensor("y", out, shape, 1 / 65536 if out == "int16" else 1 / 256, zero)
    return Op("SOFTMAX", [x], y, "SoftmaxOptions", {"Beta": d.of(1.0, 0.5, 1.7)})


def function(d: Draw) -> Op:
    kind, dtype, shape = d.of("LOGISTIC", "TANH"), d.of("int8", "uint8"), d.shape()
    scale, zero = {"LOGISTIC": (1 / 256, 0), "TANH": (1 / 128, 128)}[kind]
    y = Tensor("y", dtype, shape, scale, zero - (128 if dtype == "int8" else 0))
    return Op(kind, [d.tensor("x", dtype, (shape))], y)


def rectifier(d: Draw) -> Op:
    kind, dtype, shape = d.of("RELU", "RELU6", "RELU_N1_TO_1", "LEAKY_RELU"), d.of("int8", "uint8"), d.shape()
    dtype = d.of(dtype, "int16") if kind == "LEAKY_RELU" else dtype
    x, y = d.tensor("x", dtype, shape), d.tensor("y", dtype, shape)
    if kind == "LEAKY_RELU":
        return Op(kind, [x], y, "LeakyReluOptions", {"Alpha": d.of(0.1, 0.01, 0.3, 1.5)})
    return Op(kind, [x], y)


def requantization(d: Draw) -> Op:
    dtypes = d.of(("int8", "int8"), ("int8", "uint8"), ("uint8", "int8"), ("uint8", "uint8"), ("int16", "int16"))
    dtypes = d.of(dtypes, ("int16", "int8"), ("int8", "int16"))
    shape = d.shape()
    x, y = d.tensor("x", dtypes[0], shape), d.tensor("y", dtypes[1], shape)
    return Op("QUANTIZE", [x], y)


def border(d: Draw) -> Op:
    kind, dtype, shape = d.of("QUANTIZE", "DEQUANTIZE"), d.of("int8", "uint8", "int16"), d.shape()
    q, real = d.tensor("q", dtype, shape), Tensor("r", "float32", shape)
    return Op(kind, [real], q) if kind == "QUANTIZE" else Op(kind, [q], real)


def reshape(d: Draw) -> Op:
    shape = d.shape()
    other = d.data.draw(st.permutations(shape))
    other = d.of(tuple(other), (int(np.prod(shape)),), (1, *shape)[-4:] if len(shape) < 4 else shape)
    x = d.tensor("x", d.of("int8", "uint8", "int16"), shape)
    y = d.tensor("y", x.dtype, tuple(other), like=x)
    return Op("RESHAPE", [x, constant("shape", np.array(other, np.int32))], y, "ReshapeOptions")


def transpose(d: Draw) -> Op:
    shape = d.shape()
    perm = d.data.draw(st.permutations(range(len(shape))))
    x = d.tensor("x", d.of("int8", "uint8", "int16"), shape)
    y = d.tensor("y", x.dtype, tuple(shape[p] for p in perm), like=x)
    return Op("TRANSPOSE", [x, constant("perm", np.array(perm, np.int32))], y, "TransposeOptions")


def pad(d: Draw) -> Op:
    shape = d.shape()
    amounts = np.array([[d.integer(0, 2), d.integer(0, 2)] for _ in shape], np.int32)
    x = d.tensor("x", d.of("int8", "uint8", "int16"), shape)
    y = d.tensor("y", x.dtype, tuple(n + int(a.sum()) for n, a in zip(shape, amounts, strict=True)), like=x)
    return Op("PAD", [x, constant("amounts", amounts)], y, "PadOptions")


def concatenation(d: Draw) -> Op:
    dtype, shape = d.of("int8", "uint8", "int16"), d.shape()
    axis = d.integer(-len(shape), len(shape) - 1)
    a = d.tensor("a", dtype, shape)
    b = d.tensor("b", dtype, shape, like=None if dtype == "uint8" else a)
    length = list(shape)
    length[axis] *= 2
    y = d.tensor("y", dtype, tuple(length), like=None if dtype == "uint8" else a)
    return Op("CONCATENATION", [a, b], y, "ConcatenationOptions", {"Axis": axis})


def resize(d: Draw) -> Op:
    image, size = d.image(), (d.integer(1, 12), d.integer(1, 12))
    x = d.tensor("x", d.of("int8", "uint8"), image)
    y = d.tensor("y", x.dtype, (image[0], *size, image[3]), like=x)
    align = d.of(True, False)
    fields = {"AlignCorners": align, "HalfPixelCenters": not align and d.of(True, False)}
    where = constant("size", np.array(size, np.int32))
    return Op("RESIZE_NEAREST_NEIGHBOR", [x, where], y, "ResizeNearestNeighborOptions", fields)


FAMILIES: list[Callable[[Draw], Op]] = [
    convolution, fully_connected, pool, binary, reduction, arg_max, softmax, function, rectifier, requantization,
    border, reshape, transpose, pad, concatenation, resize,
]  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.__name__)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_equal_to_the_reference_kernel(family: Callable[[Draw], Op], data: st.DataObject) -> None:
    d = Draw(data)
    op = family(d)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "op.tflite"
        path.write_bytes(write_tflite([op]))
        model = load_tflite(path)
        assert model.meta["left_out"] == []
        result, _ = explain_dump(model, litert_dump(path, seed=d.integer(0, 99)), seconds=0)
    (tensor,) = [t for t in result.nets[0].tensors if t.name == op.output.name]
    assert tensor.n_bad == 0 and tensor.n == np.prod(op.output.shape), (op, tensor.worst)
