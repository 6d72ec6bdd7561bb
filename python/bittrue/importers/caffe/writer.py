"""What a layer rule works with: the layer, its weights, facts of its inputs, and the nodes it adds to the graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bittrue.errors import UnsupportedError
from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.graph.types import infer_types
from bittrue.importers.caffe.blobs import Array, Blobs, Kind
from bittrue.importers.caffe.net import Layer


@dataclass
class Writer:
    """Emits the nodes of one layer; types of results are known as soon as a node is added."""

    graph: Graph
    layer: Layer
    blobs: Blobs
    exact_prior_sizes: bool = False

    # Facts

    @property
    def x(self) -> str:
        """The first input."""
        return self.layer.bottoms[0]

    @property
    def y(self) -> str:
        """The first result."""
        return self.layer.tops[0]

    @property
    def proto(self) -> Any:
        """The LayerParameter."""
        return self.layer.proto

    def shape(self, tensor: str) -> tuple[int, ...]:
        return self.graph.types[tensor].shape

    def axis(self, value: int, tensor: str | None = None) -> int:
        """An axis of a tensor (default: the first input) counted from the front. Raises UnsupportedError outside it."""
        rank = len(self.shape(tensor or self.x))
        if not -rank <= value < rank:
            raise self.error(f"axis {value} of {rank} dimensions")
        return value % rank

    def error(self, reason: str) -> UnsupportedError:
        return UnsupportedError(f"layer '{self.layer.name}' ({self.layer.type}): {reason}")

    def blob(self, position: int, shape: Sequence[int], kind: Kind = "weight") -> Array:
        """Weights of the layer; see `Blobs.take`."""
        return self.blobs.take(self.layer, position, shape, kind)

    # Results

    def constant(self, what: str, value: Any, dtype: Any = np.float32) -> str:
        return self.graph.add_constant(f"{self.layer.name}/{what}", np.asarray(value, dtype, order="C"))

    def add(self, op: str, inputs: Sequence[str], output: str | None = None, **attrs: Any) -> str:
        """Adds a node with one output and returns its name: a new tensor named after `output`, else the result."""
        if output is None:
            return self.add_many(op, inputs, [self.y], self.layer.name, **attrs)[0]
        name = self.graph.unique_name(f"{self.layer.name}/{output}")
        return self.add_many(op, inputs, [name], name, **attrs)[0]

    def add_many(self, op: str, inputs: Sequence[str], outputs: Sequence[str], name: str, **attrs: Any) -> list[str]:
        """Adds an ONNX node with several outputs."""
        node = Node(op, name, list(inputs), list(outputs), attrs)
        known = {i for i in inputs if i}
        part = replace(
            self.graph,
            nodes=[node],
            inputs=[i for i in known if i not in self.graph.constants],
            outputs=[],
            constants={i: self.graph.constants[i] for i in known if i in self.graph.constants},
            types={i: self.graph.types[i] for i in known},
        )
        infer_types(part)
        if any(o not in part.types or min(part.types[o].shape, default=1) < 1 for o in outputs):
            raise self.error(f"its result does not fit its inputs {[list(self.shape(i)) for i in inputs if i]}")
        self.graph.types |= {o: part.types[o] for o in outputs}
        self.graph.nodes.append(node)
        return list(outputs)

    def add_typed(self, op: str, domain: str, inputs: Sequence[str], type_: TensorType, **attrs: Any) -> None:
        """Adds a node outside ONNX whose result has a known type."""
        self.graph.types[self.y] = type_
        self.graph.nodes.append(Node(op, self.layer.name, list(inputs), [self.y], attrs, domain))

    def reshape(self, x: str, shape: Sequence[int], output: str | None = None) -> str:
        return self.add("Reshape", [x, self.constant("shape", shape, np.int64)], output)


Rule = Callable[[Writer], None]
RULES: dict[str, Rule] = {}


def rule(*types: str) -> Callable[[Rule], Rule]:
    """Registers the function that writes layers of these types."""

    def register(run: Rule) -> Rule:
        RULES.update(dict.fromkeys(types, run))
        return run

    return register
