"""What a rewriting rule works with: facts of the graph, and the nodes and constants it adds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bittrue.errors import UnsupportedError
from bittrue.graph.ir import Graph, Node, TensorType

# Takes a name until the types of the new tensors are inferred.
PENDING = TensorType("float32", ())
Array = np.ndarray[Any, Any]


@dataclass
class Writer:
    """The nodes that take the place of one node. All constants are folded and all types known."""

    graph: Graph
    node: Node
    nodes: list[Node] = field(default_factory=list)

    # Facts

    @property
    def x(self) -> str:
        """The first input."""
        return self.input(0)

    def error(self, reason: str) -> UnsupportedError:
        return UnsupportedError(f"node '{self.node.name}' ({self.node.op}): {reason}")

    def input(self, position: int) -> str:
        """The name of an input, "" where it is absent."""
        return self.node.inputs[position] if len(self.node.inputs) > position else ""

    def constant(self, position: int, what: str) -> Array | None:
        """The value of an input, None where it is absent. Raises UnsupportedError where it is computed."""
        name = self.input(position)
        if not name:
            return None
        if name not in self.graph.constants:
            raise self.error(f"{what} are not constant")
        return self.graph.constants[name]

    def required(self, position: int, what: str) -> Array:
        """As `constant`, of an input that must be there."""
        value = self.constant(position, what)
        if value is None:
            raise self.error(f"{what} are missing")
        return value

    def shape(self, name: str) -> tuple[int, ...]:
        return self.graph.types[name].shape

    # Results

    def add_constant(self, what: str, value: Any, dtype: Any = np.int64) -> str:
        return self.graph.add_constant(f"{self.node.outputs[0]}/{what}", np.asarray(value, dtype))

    def like(self, what: str, value: Any) -> str:
        """A constant of the element type of the first input."""
        return self.add_constant(what, value, self.graph.types[self.x].dtype)

    def add(self, op: str, inputs: Sequence[str], output: str | None = None, **attrs: Any) -> str:
        """Adds a node and returns its output: a new tensor named after `output`, or without it the result."""
        if output is None:
            self.nodes.append(Node(op, self.node.name, list(inputs), list(self.node.outputs), attrs))
            return self.node.outputs[0]
        name = self.graph.unique_name(f"{self.node.outputs[0]}/{output}")
        self.graph.types[name] = PENDING
        self.nodes.append(Node(op, name, list(inputs), [name], attrs))
        return name

    def keep(self, inputs: Sequence[str] | None = None, *, without: Sequence[str] = (), **attrs: Any) -> Node:
        """Adds the node again with other inputs and attributes."""
        kept = {k: v for k, v in self.node.attrs.items() if k not in without} | attrs
        inputs = list(self.node.inputs if inputs is None else inputs)
        self.nodes.append(Node(self.node.op, self.node.name, inputs, list(self.node.outputs), kept))
        return self.nodes[-1]


Rule = Callable[[Writer], None]


@dataclass(frozen=True)
class Registered:
    """A rule and the opsets, from `since` up to but without `before`, whose nodes it rewrites."""

    run: Rule
    since: int
    before: int


RULES: dict[str, list[Registered]] = {}


def rule(*ops: str, since: int = 0, before: int = 1000) -> Callable[[Rule], Rule]:
    """Registers a rule for ops of a range of opsets."""

    def register(run: Rule) -> Rule:
        for op in ops:
            RULES.setdefault(op, []).append(Registered(run, since, before))
        return run

    return register
