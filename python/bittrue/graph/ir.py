"""The graph that importers, passes, quantizer and engine share: nodes in execution order, typed tensors, constants.

One structure serves the float graph (ONNX ops, domain "") and the quantized graph (domain "bittrue").
`bittrue.graph.onnx_io` converts it from and to `onnx.ModelProto`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bittrue.errors import DataError

OPSET = 17


@dataclass(frozen=True)
class TensorType:
    """Element type (numpy name, or "int4"/"uint4") and static shape."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        n = 1
        for d in self.shape:
            n *= d
        return n

    @property
    def bytes(self) -> int:
        bits = 4 if self.dtype in ("int4", "uint4") else np.dtype(self.dtype).itemsize * 8
        return (self.elements * bits + 7) // 8


@dataclass
class Node:
    """One operation.

    inputs: tensor names, "" where an optional input is absent.
    attrs: int, float, str, list[int], list[float], list[str], np.ndarray; onnx.GraphProto before constants are folded.
    absorbed: the ONNX nodes a recognised pattern stands for (float graph only); `to_onnx` writes them instead.
    fused: activation nodes absorbed by this one (float graph only), in order, each reading the one before. `outputs`
        is the result after them; `fused[0].inputs[0]` names the result before. `to_onnx` writes them out again, so
        a fused graph computes the same floats.
    """

    op: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attrs: dict[str, Any] = field(default_factory=dict)
    domain: str = ""
    fused: list[Node] = field(default_factory=list)
    absorbed: list[Node] = field(default_factory=list)


@dataclass
class Graph:
    """Nodes in execution order. `types` has every tensor, constants included. `opset` is that of the ONNX nodes: the
    fixed one, except between reading a file and rewriting it."""

    name: str
    nodes: list[Node] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    types: dict[str, TensorType] = field(default_factory=dict)
    opset: int = OPSET

    def add_constant(self, name: str, value: np.ndarray) -> str:
        """Adds a constant under a name that is not taken yet and returns that name."""
        unique = self.unique_name(name)
        self.constants[unique] = value
        self.types[unique] = TensorType(value.dtype.name, tuple(value.shape))
        return unique

    def unique_name(self, name: str) -> str:
        taken = self.types
        if name not in taken:
            return name
        i = 1
        while f"{name}_{i}" in taken:
            i += 1
        return f"{name}_{i}"

    def producer(self) -> dict[str, Node]:
        """Tensor name -> node that writes it."""
        return {o: n for n in self.nodes for o in n.outputs if o}

    def consumers(self) -> dict[str, list[Node]]:
        """Tensor name -> nodes that read it (a node twice if it reads it twice)."""
        readers: dict[str, list[Node]] = {}
        for n in self.nodes:
            for i in n.inputs:
                if i:
                    readers.setdefault(i, []).append(n)
        return readers

    def activations(self) -> Iterable[str]:
        """Graph inputs and node outputs, in execution order."""
        yield from self.inputs
        for n in self.nodes:
            yield from (o for o in n.outputs if o)

    def check(self) -> None:
        """Raises DataError unless every tensor is written once before it is read and has a type."""
        known = set(self.inputs) | set(self.constants)
        for n in self.nodes:
            for i in n.inputs:
                if i and i not in known:
                    raise DataError(f"node '{n.name}' ({n.op}) reads '{i}', which nothing before it writes")
            for o in n.outputs:
                if o in known:
                    raise DataError(f"node '{n.name}' ({n.op}) writes '{o}', which exists already")
                if o:
                    known.add(o)
        for name in known:
            if name not in self.types:
                raise DataError(f"tensor '{name}' has no type")
        for o in self.outputs:
            if o not in known:
                raise DataError(f"graph output '{o}' is never written")
