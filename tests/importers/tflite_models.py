"""Builds TFLite models of one operator."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
import tflite

TYPES = {
    "int8": tflite.TensorType.INT8, "uint8": tflite.TensorType.UINT8, "int16": tflite.TensorType.INT16,
    "int32": tflite.TensorType.INT32, "int64": tflite.TensorType.INT64, "float32": tflite.TensorType.FLOAT32,
}  # fmt: skip


@dataclass
class Tensor:
    """scale: one, or one per index of `axis`; None: not quantized. data: of constants."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    scale: Any = None
    zero_point: int = 0
    axis: int = 0
    data: np.ndarray | None = None


def constant(name: str, data: np.ndarray, scale: Any = None, zero_point: int = 0, axis: int = 0) -> Tensor:
    return Tensor(name, data.dtype.name, tuple(data.shape), scale, zero_point, axis, data)


@dataclass
class Op:
    """kind: name in BuiltinOperator; options: name of its options table, with the fields that are set."""

    kind: str
    inputs: list[Tensor]
    output: Tensor
    options: str = ""
    fields: dict[str, Any] = field(default_factory=dict)

    def model(self) -> bytes:
        """The file."""
        b = flatbuffers.Builder(4096)
        tensors = [*self.inputs, self.output]
        buffers = [_table(b, "Buffer")]
        places = []
        for t in tensors:
            places.append(len(buffers) if t.data is not None else 0)
            if t.data is not None:
                raw = np.ascontiguousarray(t.data).reshape(-1).view(np.uint8)
                buffers.append(_table(b, "Buffer", Data=b.CreateNumpyVector(raw)))
        tables = [_tensor(b, t, place) for t, place in zip(tensors, places, strict=True)]
        operator: dict[str, Any] = {
            "Inputs": _ints(b, range(len(self.inputs))),
            "Outputs": _ints(b, [len(self.inputs)]),
        }
        if self.options:
            operator["BuiltinOptions"] = _table(b, self.options, **self.fields)
            operator["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, self.options)
        subgraph = _table(
            b,
            "SubGraph",
            Tensors=_offsets(b, tables),
            Inputs=_ints(b, [i for i, t in enumerate(self.inputs) if t.data is None]),
            Outputs=_ints(b, [len(self.inputs)]),
            Operators=_offsets(b, [_table(b, "Operator", **operator)]),
        )
        code = getattr(tflite.BuiltinOperator, self.kind)
        codes = [_table(b, "OperatorCode", DeprecatedBuiltinCode=min(code, 127), BuiltinCode=code, Version=1)]
        model = _table(
            b,
            "Model",
            Version=3,
            OperatorCodes=_offsets(b, codes),
            Subgraphs=_offsets(b, [subgraph]),
            Buffers=_offsets(b, buffers),
        )
        b.Finish(model, b"TFL3")
        return bytes(b.Output())


def _table(b: Any, kind: str, **fields: Any) -> Any:
    getattr(tflite, f"{kind}Start")(b)
    for name, value in fields.items():
        getattr(tflite, f"{kind}Add{name}")(b, value)
    return getattr(tflite, f"{kind}End")(b)


def _tensor(b: Any, t: Tensor, place: int) -> Any:
    fields = {"Name": b.CreateString(t.name), "Shape": _ints(b, t.shape), "Type": TYPES[t.dtype], "Buffer": place}
    if t.scale is not None:
        scales = np.atleast_1d(np.asarray(t.scale, np.float32))
        zeros = np.full(scales.size, t.zero_point, np.int64)
        quantization = {"Scale": b.CreateNumpyVector(scales), "ZeroPoint": b.CreateNumpyVector(zeros)}
        fields["Quantization"] = _table(b, "QuantizationParameters", **quantization, QuantizedDimension=t.axis)
    return _table(b, "Tensor", **fields)


def _ints(b: Any, values: Any) -> Any:
    return b.CreateNumpyVector(np.asarray(list(values), np.int32))


def _offsets(b: Any, offsets: list[Any]) -> Any:
    b.StartVector(4, len(offsets), 4)
    for o in reversed(offsets):
        b.PrependUOffsetTRelative(o)
    return b.EndVector()
