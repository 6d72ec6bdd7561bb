"""Comparison of a quantized graph's simulation with reference tensors: layers, outputs, origins."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping
from typing import Any, cast

import numpy as np

from bittrue.quantize.model import QuantizedModel
from bittrue.report.result import TensorResult
from bittrue.runtime.session import Session
from bittrue.verify.policy import Policy
from bittrue.verify.replay import Replay, find_origins
from bittrue.verify.tensors import compare_tensors_by_name

Array = np.ndarray[Any, Any]


class GraphComparison:
    """Results come in execution order and know their layer, op, scale and evidence."""

    def __init__(self, model: QuantizedModel, session: Session, policy: Policy) -> None:
        self.model, self.session, self.policy = model, session, policy
        self._writers = {o: (k, n) for k, n in enumerate(model.graph.nodes) for o in n.outputs}

    def describe(self, name: str) -> dict[str, Any]:
        """Fields of a `TensorResult` that the model knows."""
        fields: dict[str, Any] = {"index": len(self._writers)}
        if name in self._writers:
            index, node = self._writers[name]
            evidence = str(node.attrs.get("evidence", ""))
            reads = [i for i in node.inputs if i and i not in self.model.graph.constants]
            fields = {"index": index, "layer": node.name, "op": node.op, "evidence": evidence, "reads": reads}
        if name in self.model.tensors:
            q = self.model.tensors[name]
            fields |= {"scale": q.scale, "zero_point": q.zero_point}
        return fields

    def compare(
        self,
        inputs: Mapping[str, Array],
        layers: Mapping[str, Array],
        outputs: Mapping[str, Array],
        max_memory: int,
    ) -> list[TensorResult]:
        """Simulates and compares every tensor of `layers` and `outputs`, those that one side lacks included.

        The network runs once per part of the layers whose tensors fit into `max_memory` bytes.
        """
        graph = self.model.graph
        names = [n for n in graph.activations() if n not in graph.inputs] if layers else []
        results: list[TensorResult] = []
        for part in self._parts(names, max_memory):
            run = self.session.run(inputs, trace=part)
            expected = {n: layers[n] for n in part if n in layers}
            results += compare_tensors_by_name(expected, run.trace, self.policy, self.describe)
        unknown = {n: layers[n] for n in layers if n not in graph.types}
        results += compare_tensors_by_name(unknown, {}, self.policy, self.describe)
        if not names:
            run = self.session.run(inputs)
        results += compare_tensors_by_name(
            outputs, run.outputs, self.policy, lambda n: {**self.describe(n), "role": "output"}
        )
        return sorted(results, key=lambda t: (t.role == "output", t.index))

    def _parts(self, names: list[str], max_memory: int) -> Iterator[list[str]]:
        part: list[str] = []
        size = 0
        for name in names:
            needed = self.model.graph.types[name].bytes
            if part and size + needed > max_memory:
                yield part
                part, size = [], 0
            part.append(name)
            size += needed
        if part:
            yield part

    def find_origins(
        self,
        tensors: list[TensorResult],
        inputs: Mapping[str, Array],
        layers: Mapping[str, Array],
        outputs: Mapping[str, Array],
    ) -> Replay:
        """Sets the origin of every failing tensor by simulating its layer alone; see `replay.find_origins`."""
        known = ChainMap(*(cast(dict[str, Array], m) for m in (inputs, layers, outputs)))
        replay = Replay(self.model.graph, known, self.session.path, self.session.threads)
        find_origins(tensors, lambda t: outputs[t.name] if t.role == "output" else layers[t.name], replay, self.policy)
        return replay
