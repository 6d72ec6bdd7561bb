"""Writes TFLite models: constants, quantization and operators by their names in the schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def write_tflite(ops: Sequence[Op]) -> bytes:
    """The file of a network, its ops in the order of execution. A tensor is known by its name; what no op makes is an
    input, what no op reads is an output."""
    b = flatbuffers.Builder(4096)
    tensors = list({t.name: t for op in ops for t in (*op.inputs, op.output)}.values())
    index = {t.name: i for i, t in enumerate(tensors)}
    made, read = {op.output.name for op in ops}, {t.name for op in ops for t in op.inputs}
    buffers, places = [_table(b, "Buffer")], []
    for t in tensors:
        places.append(len(buffers) if t.data is not None else 0)
        if t.data is not None:
            buffers.append(_table(b, "Buffer", Data=_bytes(b, t.data)))
    tables = [_tensor(b, t, place) for t, place in zip(tensors, places, strict=True)]
    kinds = list(dict.fromkeys(op.kind for op in ops))
    operators = [_operator(b, op, kinds.index(op.kind), index) for op in ops]
    subgraph = _table(
        b,
        "SubGraph",
        Tensors=_offsets(b, tables),
        Inputs=_ints(b, [index[t.name] for t in tensors if t.data is None and t.name not in made]),
        Outputs=_ints(b, [index[t.name] for t in tensors if t.name in made and t.name not in read]),
        Operators=_offsets(b, operators),
    )
    numbers = [getattr(tflite.BuiltinOperator, kind) for kind in kinds]
    codes = [_table(b, "OperatorCode", DeprecatedBuiltinCode=min(n, 127), BuiltinCode=n, Version=1) for n in numbers]
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


def _operator(b: Any, op: Op, code: int, index: Mapping[str, int]) -> Any:
    fields: dict[str, Any] = {
        "Inputs": _ints(b, [index[t.name] for t in op.inputs]),
        "Outputs": _ints(b, [index[op.output.name]]),
        "OpcodeIndex": code,
    }
    if op.options:
        fields["BuiltinOptions"] = _table(b, op.options, **op.fields)
        fields["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, op.options)
    return _table(b, "Operator", **fields)


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


def _bytes(b: Any, data: np.ndarray) -> Any:
    """Contents of a buffer, which the schema wants at a multiple of 16 bytes."""
    raw = np.ascontiguousarray(data).tobytes()
    b.StartVector(1, len(raw), 16)
    b.head = b.Head() - len(raw)
    b.Bytes[b.head : b.head + len(raw)] = raw
    return b.EndVector()
