"""What a lowering rule works with: the float node, the ranges, and a builder of quantized nodes.

A tensor of the float graph may exist in two forms, quantized and float. The form that a node writes first keeps the
tensor's name, so that layers compare by name; the other form is made when it is read, by a Quantize or Dequantize.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bittrue.errors import DataError
from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.quantize.model import TensorQuant
from bittrue.quantize.ranges import Ranges
from bittrue.targets.loader import Target

Array = np.ndarray[Any, Any]


class FallbackError(Exception):
    """An integer rule cannot run this node; it runs in the target's float rules. The message is the reason."""


@dataclass
class QuantizeOptions:
    """quant_input, quant_output: the network takes or returns quantized tensors. disabled_passes: of range propagation.
    float_layers: names of nodes that stay in float."""

    quant_input: bool = False
    quant_output: bool = False
    disabled_passes: tuple[str, ...] = ()
    float_layers: frozenset[str] = frozenset()
    winograd: frozenset[str] = frozenset()


@dataclass
class Context:
    """Builds the quantized graph. `ranges` is empty for float precisions."""

    source: Graph
    target: Target
    ranges: Ranges
    options: QuantizeOptions
    graph: Graph
    tensors: dict[str, TensorQuant] = field(default_factory=dict)
    quantized: dict[str, str] = field(default_factory=dict)  # float tensor -> its quantized form
    floats: dict[str, str] = field(default_factory=dict)  # float tensor -> its float form
    evidence: str = "assumed"

    # Facts of the float graph

    def constant(self, name: str) -> Array | None:
        """A constant of the float graph. Raises DataError for NaN or infinite values."""
        value = self.source.constants.get(name)
        if value is not None and value.dtype.kind == "f" and not np.all(np.isfinite(value)):
            raise DataError(f"constant '{name}' holds NaN or infinity")
        return value

    def shape(self, name: str) -> tuple[int, ...]:
        return self.source.types[name].shape

    def signed(self, tensor: str) -> bool:
        return self.ranges[tensor].signed

    def scale(self, tensor: str) -> float:
        """Symmetric scale: threshold/127 for signed tensors, threshold/255 for unsigned ones."""
        r = self.ranges[tensor]
        return r.threshold / (127 if r.signed else 255)

    def dtype(self, tensor: str) -> str:
        return "int8" if self.signed(tensor) else "uint8"

    # Reading tensors

    def read_quantized(self, tensor: str) -> str:
        """Name of the quantized form; makes it from the float form."""
        if tensor not in self.quantized:
            if tensor not in self.floats or tensor not in self.ranges:
                raise FallbackError(f"'{tensor}' has no quantized form")
            name = self.graph.unique_name(f"{tensor}/int8")
            inverse = float(np.float32(1.0 / self.scale(tensor)))
            attrs = {**self.target.lowering.QUANTIZE, "scale": [inverse], "scale_op": "multiply"}
            self.emit(
                "Quantize",
                f"{tensor}/quantize",
                [self.floats[tensor]],
                name,
                self.dtype(tensor),
                attrs=attrs,
                like=tensor,
            )
            self.quantized[tensor] = name
            self.record(tensor, name)
        return self.quantized[tensor]

    def read_float(self, tensor: str) -> str:
        """Name of the float form; makes it from the quantized form, or adds the constant."""
        if tensor in self.source.constants:
            self.constant(tensor)
            return self.read_constant(tensor)
        if tensor not in self.floats and tensor not in self.quantized:
            raise FallbackError(f"its input '{tensor}' is not available")
        if tensor not in self.floats:
            name = self.graph.unique_name(tensor if self.is_float_output(tensor) else f"{tensor}/float")
            attrs = {**self.target.lowering.DEQUANTIZE, "scale": [float(np.float32(self.scale(tensor)))]}
            self.emit(
                "Dequantize",
                f"{tensor}/dequantize",
                [self.quantized[tensor]],
                name,
                "float32",
                attrs=attrs,
                like=tensor,
            )
            self.floats[tensor] = name
        return self.floats[tensor]

    def read_constant(self, tensor: str) -> str:
        if tensor not in self.graph.constants:
            self.graph.constants[tensor] = self.source.constants[tensor]
            self.graph.types[tensor] = self.source.types[tensor]
        return tensor

    def is_float_output(self, tensor: str) -> bool:
        return tensor in self.source.outputs and not self.options.quant_output

    # Writing nodes

    def emit(
        self, op: str, name: str, inputs: list[str], output: str, dtype: str, *, attrs: dict[str, Any], like: str
    ) -> str:
        """Adds a node whose output has the shape of the float tensor `like`."""
        return self.emit_shape(op, name, inputs, output, TensorType(dtype, self.shape(like)), attrs)

    def emit_shape(
        self, op: str, name: str, inputs: list[str], output: str, type_: TensorType, attrs: dict[str, Any]
    ) -> str:
        self.graph.types[output] = type_
        attrs = {**attrs, "evidence": self.evidence}
        self.graph.nodes.append(Node(op, name, inputs, [output], attrs, "bittrue"))
        return output

    def write_quantized(self, op: str, node: Node, inputs: list[str], attrs: dict[str, Any], output: int = 0) -> str:
        """The main node of a float node, with a quantized result."""
        tensor = node.outputs[output]
        name = self.quantized_name(tensor)
        self.emit(op, node.name, inputs, name, self.dtype(tensor), attrs=attrs, like=tensor)
        self.quantized[tensor] = name
        self.record(tensor, name)
        return name

    def write_float(self, op: str, node: Node, inputs: list[str], attrs: dict[str, Any], output: int = 0) -> str:
        """The main node of a float node, with a float result."""
        tensor = node.outputs[output]
        self.emit(op, node.name, inputs, tensor, "float32", attrs=attrs, like=tensor)
        self.floats[tensor] = tensor
        return tensor

    def quantized_name(self, tensor: str) -> str:
        return self.graph.unique_name(f"{tensor}/int8" if self.is_float_output(tensor) else tensor)

    def add_constant(self, name: str, value: Array) -> str:
        return self.graph.add_constant(name, value)

    def record(self, tensor: str, name: str) -> None:
        r = self.ranges[tensor]
        self.tensors[name] = TensorQuant(self.dtype(tensor), self.scale(tensor), 0, r.threshold, r.min, r.max, r.set_by)
