"""A quantized model: its graph, and the record of every tensor's quantization."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import onnx

from bittrue.errors import DataError
from bittrue.graph.ir import Graph
from bittrue.graph.onnx_io import from_onnx, to_onnx


@dataclass
class TensorQuant:
    """real value = (q - zero_point) * scale. threshold, min, max: the range the scale was derived from; `set_by` names
    the calibration table or the propagation pass that set it."""

    dtype: str
    scale: float
    zero_point: int
    threshold: float
    min: float
    max: float
    set_by: str


@dataclass
class QuantizedModel:
    """graph: domain "bittrue". arithmetic: every switchable rule of the target with its value."""

    graph: Graph
    target: str
    precision: str
    arithmetic: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, TensorQuant] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)

    def to_onnx(self) -> onnx.ModelProto:
        """One self-contained ONNX file; the records travel as JSON in metadata_props."""
        model = to_onnx(self.graph)
        records = {
            "bittrue.target": self.target,
            "bittrue.precision": self.precision,
            "bittrue.arithmetic": json.dumps(self.arithmetic, sort_keys=True),
            "bittrue.tensors": json.dumps({n: asdict(q) for n, q in self.tensors.items()}, sort_keys=True),
            "bittrue.meta": json.dumps(self.meta, sort_keys=True),
        }
        onnx.helper.set_model_props(model, records)
        return model

    @staticmethod
    def from_onnx(model: onnx.ModelProto, weights: Mapping[str, np.ndarray[Any, Any]] | None = None) -> QuantizedModel:
        """Inverse of `to_onnx`. weights: see `bittrue.graph.onnx_io.from_onnx`. Raises DataError if the records are
        missing or broken."""
        props = {p.key: p.value for p in model.metadata_props}
        try:
            tensors = {n: TensorQuant(**q) for n, q in json.loads(props["bittrue.tensors"]).items()}
            return QuantizedModel(
                from_onnx(model, weights),
                props["bittrue.target"],
                props["bittrue.precision"],
                json.loads(props["bittrue.arithmetic"]),
                tensors,
                json.loads(props["bittrue.meta"]),
            )
        except (KeyError, TypeError, ValueError) as e:
            raise DataError(f"not a quantized model of bittrue ({e})") from e
