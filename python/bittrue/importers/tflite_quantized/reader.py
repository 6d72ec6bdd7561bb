"""A TFLite file's tensors, and the quantized graph that grows from them.

The graph is NCHW; `layouts` names the tensors that TFLite stores as NHWC, so that dumps can be compared.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tflite

from bittrue.errors import UnsupportedError
from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.graph.onnx_io import DOMAIN
from bittrue.quantize.model import TensorQuant

Array = np.ndarray[Any, Any]
DTYPES = {
    tflite.TensorType.INT8: "int8", tflite.TensorType.UINT8: "uint8", tflite.TensorType.INT32: "int32",
    tflite.TensorType.FLOAT32: "float32", tflite.TensorType.INT64: "int64", tflite.TensorType.INT16: "int16",
    tflite.TensorType.BOOL: "bool",
}  # fmt: skip
NCHW = (0, 3, 1, 2)  # axes of NHWC in this order
NHWC = (0, 2, 3, 1)


class Importer:
    """Adds one operator after the other to a graph. Tensors are known by their number in the file."""

    def __init__(self, content: bytes, name: str) -> None:
        self.model = tflite.Model.GetRootAsModel(content, 0)
        self.source = self.model.Subgraphs(0)
        self.names = self._unique_names()
        self.graph = Graph(name)
        self.tensors: dict[str, TensorQuant] = {}
        self.layouts: dict[str, str] = {}

    def _unique_names(self) -> list[str]:
        names: dict[str, None] = {}
        for i in range(self.source.TensorsLength()):
            name = (self.source.Tensors(i).Name() or b"").decode("utf-8", "replace") or f"tensor_{i}"
            names[name if name not in names else f"{name}_{i}"] = None
        return list(names)

    def shape(self, i: int) -> tuple[int, ...]:
        """As stored: NHWC."""
        shape = self.source.Tensors(i).ShapeAsNumpy()
        return () if isinstance(shape, int) else tuple(int(v) for v in shape)

    def dtype(self, i: int) -> str:
        kind = self.source.Tensors(i).Type()
        if kind not in DTYPES:
            raise UnsupportedError(f"tensor '{self.names[i]}': element type {kind}")
        return DTYPES[kind]

    def limits(self, i: int) -> tuple[int, int]:
        """Range of an integer tensor's type."""
        info = np.iinfo(self.dtype(i))
        return int(info.min), int(info.max)

    def scales(self, i: int) -> Array:
        """Scales in double, one or one per channel."""
        quantization = self.source.Tensors(i).Quantization()
        if quantization is None or quantization.ScaleLength() == 0:
            raise UnsupportedError(f"tensor '{self.names[i]}' is not quantized")
        scales: Array = quantization.ScaleAsNumpy().astype(np.float64)
        return scales

    def scale(self, i: int) -> float:
        return float(self.scales(i)[0])

    def zero_points(self, i: int) -> list[int]:
        self.scales(i)  # refuses tensors that are not quantized
        return [int(z) for z in self.source.Tensors(i).Quantization().ZeroPointAsNumpy()]

    def zero_point(self, i: int) -> int:
        return self.zero_points(i)[0]

    def same_quantization(self, a: int, b: int) -> bool:
        return (self.scale(a), self.zero_point(a)) == (self.scale(b), self.zero_point(b))

    def constant(self, i: int) -> Array | None:
        """Stored values; None for computed tensors."""
        buffer = self.model.Buffers(self.source.Tensors(i).Buffer())
        if buffer is None or buffer.DataLength() == 0:
            return None
        data = np.frombuffer(buffer.DataAsNumpy().tobytes(), self.dtype(i))
        return data.reshape(self.shape(i))

    def stored(self, i: int, what: str) -> Array:
        """A constant that an op must have. Raises UnsupportedError if it is computed."""
        value = self.constant(i)
        if value is None:
            raise UnsupportedError(f"{what} '{self.names[i]}' is computed")
        return value

    def axis(self, i: int, axis: int) -> int:
        """An axis of a tensor as stored, counted in the graph's layout."""
        rank = len(self.shape(i))
        if not -rank <= axis < rank:
            raise UnsupportedError(f"tensor '{self.names[i]}' has no axis {axis}")
        return NCHW.index(axis % rank) if rank == 4 else axis % rank

    def declare(self, i: int) -> str:
        """A computed tensor of the graph; four dimensions become NCHW."""
        name, shape = self.names[i], self.shape(i)
        if len(shape) == 4:
            self.layouts[name] = "NHWC"
            shape = tuple(shape[k] for k in NCHW)
        self.graph.types[name] = TensorType(self.dtype(i), shape)
        quantization = self.source.Tensors(i).Quantization()
        if quantization is not None and quantization.ScaleLength() == 1:
            scale, zero = self.scale(i), self.zero_point(i)
            low, high = ((v - zero) * scale for v in self.limits(i))
            self.tensors[name] = TensorQuant(self.dtype(i), scale, zero, max(-low, high), low, high, "tflite")
        return name

    def operand(self, i: int, rank: int | None = None) -> str:
        """An input in the graph's layout; constants are added, with leading dimensions of 1 up to `rank`."""
        value = self.constant(i)
        if value is None:
            name = self.names[i]
            if rank is not None and 0 < len(self.shape(i)) < rank:
                raise UnsupportedError(f"'{name}' is computed and broadcast from {len(self.shape(i))} dimensions")
            return name
        if rank is not None:
            value = value.reshape((1,) * (rank - value.ndim) + value.shape)
        if value.ndim == 4:
            value = value.transpose(NCHW)
        return self.graph.add_constant(self.names[i], np.ascontiguousarray(value))

    def add(self, op: str, inputs: list[str], output: int | str, attrs: dict[str, Any]) -> None:
        """A node whose layer name is its output's. Every rule is compared with LiteRT: tests/importers."""
        name = self.declare(output) if isinstance(output, int) else output
        self.graph.nodes.append(Node(op, name, inputs, [name], {**attrs, "evidence": "measured"}, DOMAIN))

    def between(self, name: str, shape: tuple[int, ...], dtype: str) -> str:
        """A tensor of the graph that TFLite does not have."""
        unique = self.graph.unique_name(name)
        self.graph.types[unique] = TensorType(dtype, shape)
        return unique

    def as_stored(self, i: int) -> str:
        """A computed tensor with its dimensions in TFLite's order."""
        name, shape = self.names[i], self.shape(i)
        if len(shape) != 4:
            return name
        other = self.between(f"{name}/nhwc", shape, self.dtype(i))
        self.add("Transpose", [name], other, {"perm": list(NHWC)})
        return other

    def elements_in_order(self, i: int) -> str:
        """A computed tensor whose elements follow each other as TFLite stores them, whatever its dimensions."""
        shape = self.shape(i)
        trivial = len(shape) != 4 or shape[1] == shape[2] == 1 or shape[3] == 1
        return self.names[i] if trivial else self.as_stored(i)

    def add_as_stored(self, op: str, inputs: list[str], output: int, attrs: dict[str, Any]) -> None:
        """A node that computes its output in TFLite's order of dimensions."""
        shape = self.shape(output)
        if len(shape) != 4:
            self.add(op, inputs, output, attrs)
            return
        stored = self.between(f"{self.names[output]}/nhwc", shape, self.dtype(output))
        self.add(op, inputs, stored, attrs)
        self.add("Transpose", [stored], output, {"perm": list(NCHW)})


def options(operator: Any, kind: Any) -> Any:
    """The operator's options as a table of the class `kind`; the schema's defaults where it has none."""
    result, table = kind(), operator.BuiltinOptions()
    if table is None:
        raise UnsupportedError("an operator without its options")
    result.Init(table.Bytes, table.Pos)
    return result
