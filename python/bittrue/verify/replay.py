"""Born here or inherited: every failing layer simulated alone, on the reference's own inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bittrue.graph.ir import Graph, Node
from bittrue.report.result import BORN, TensorResult
from bittrue.runtime.session import Session
from bittrue.verify.policy import Policy
from bittrue.verify.verdict import PASSING, judge_pair

Array = np.ndarray[Any, Any]
LISTED = 5


def subgraph(graph: Graph, nodes: Sequence[Node], inputs: Sequence[str], outputs: Sequence[str]) -> Graph:
    """Some nodes of a graph as a graph of its own."""
    used = {i for n in nodes for i in n.inputs if i}
    constants = {n: a for n, a in graph.constants.items() if n in used}
    names = [*constants, *inputs, *(o for n in nodes for o in n.outputs if o)]
    return Graph(
        name=graph.name,
        nodes=list(nodes),
        inputs=list(inputs),
        outputs=list(outputs),
        constants=constants,
        types={n: graph.types[n] for n in names},
    )


class Replay:
    """Simulates parts of a quantized graph on known tensors.

    known: the reference's tensors by name, network inputs included. Tensors of another shape or type than the graph's
    do not count as known.
    """

    def __init__(
        self, graph: Graph, known: Mapping[str, Array], path: str | None = None, threads: int | None = None
    ) -> None:
        self.graph, self.known, self.path, self.threads = graph, known, path, threads
        self.producer = graph.producer()
        self._order = {id(n): k for k, n in enumerate(graph.nodes)}

    def usable(self, name: str) -> bool:
        """Whether the reference has this tensor in the graph's shape and type."""
        if name not in self.known:
            return False
        array, type_ = self.known[name], self.graph.types[name]
        return array.shape == type_.shape and array.dtype.name == type_.dtype

    def region(self, name: str) -> tuple[list[Node], list[str]] | None:
        """The smallest part of the graph that computes a tensor from known ones: its nodes in execution order and its
        inputs. None if a network input is unknown."""
        nodes: dict[int, Node] = {}
        inputs: dict[str, None] = {}
        pending = [name]
        while pending:
            tensor = pending.pop()
            node = self.producer.get(tensor)
            if tensor != name and self.usable(tensor):
                inputs[tensor] = None
            elif node is None:
                return None
            elif id(node) not in nodes:
                nodes[id(node)] = node
                pending += [i for i in node.inputs if i and i not in self.graph.constants]
        ordered = sorted(nodes.values(), key=lambda n: self._order[id(n)])
        return ordered, [i for i in self.graph.activations() if i in inputs]

    def run(self, name: str) -> tuple[Array, list[Node], list[str]] | None:
        """(the tensor simulated from the reference's tensors, the nodes run, the inputs used), None without inputs."""
        found = self.region(name)
        if found is None:
            return None
        nodes, inputs = found
        session = Session(subgraph(self.graph, nodes, inputs, [name]), path=self.path, threads=self.threads)
        return session.run({i: self.known[i] for i in inputs}).outputs[name], nodes, inputs


def find_origins(
    tensors: Sequence[TensorResult], reference: Callable[[TensorResult], Array], replay: Replay, policy: Policy
) -> None:
    """Sets `origin`, `region`, `local` and `explains` of the tensors, which are in execution order.

    reference: what a tensor was compared with. A failing layer is BORN_HERE if it also fails alone on the reference's
    inputs, INHERITED if not, BOTH if it fails alone and its inputs differ as well; MASKED passes although an input
    differs; UNRESOLVED is born in one of several layers between which the reference has no tensors.
    """
    differing = {t.name for t in tensors if t.n and t.verdict not in PASSING}
    for t in tensors:
        if not t.n or t.name not in replay.producer:
            continue
        if t.verdict in PASSING:
            reads = replay.producer[t.name].inputs
            t.origin = "MASKED" if any(i in differing for i in reads) else ""
            continue
        played = replay.run(t.name)
        if played is None:
            continue
        simulated, nodes, inputs = played
        verdict, metrics = judge_pair(reference(t), simulated, t.facts, policy, scale=t.scale or 0.0)
        t.local = {"verdict": verdict.word, **metrics.model_dump(exclude={"channels", "worst"})}
        if verdict.word in PASSING or not metrics.n_bad:  # NaN that the layer makes of its inputs' NaN is inherited
            t.origin = "INHERITED"
        elif len(nodes) > 1:
            t.origin, t.region = "UNRESOLVED", [n.name for n in nodes]
            t.detail = f"one of {len(nodes)} layers from {nodes[0].name}: the reference has no tensors between them"
            assumed = [n.name for n in reversed(nodes) if n.attrs.get("evidence") == "assumed"]
            if assumed:
                t.detail += f"; arithmetic is assumed, not measured, in {', '.join(assumed[:LISTED])}"
        else:
            t.origin = "BOTH" if any(i in differing for i in inputs) else "BORN_HERE"
    _attribute(tensors, replay)


def _attribute(tensors: Sequence[TensorResult], replay: Replay) -> None:
    """Sets `explains`: which later failures carry on the error of a layer where one was born."""
    known: dict[str, TensorResult] = {}
    for t in tensors:
        known.setdefault(t.name, t)
    carried: dict[str, set[str]] = {}  # tensor -> the tensors where the error it carries was born
    for node in replay.graph.nodes:
        inherited: set[str] = set().union(*(carried.get(i, set()) for i in node.inputs))
        for output in node.outputs:
            origin = known[output].origin if output in known else "INHERITED"
            born, passed = origin in (*BORN, "UNRESOLVED"), origin in ("", "MASKED")
            carried[output] = {output} if born else set() if passed else inherited
    for name, t in known.items():
        if t.origin in (*BORN, "UNRESOLVED"):
            t.explains = [n for n, x in known.items() if x.origin == "INHERITED" and name in carried[n]]
