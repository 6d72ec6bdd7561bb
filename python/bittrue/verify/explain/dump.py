"""A dump of all tensors of a model, made elsewhere: what differs, where it was born, why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from bittrue.errors import DataError
from bittrue.quantize.model import QuantizedModel
from bittrue.report.result import Result, evidence_counts, new_result
from bittrue.runtime.session import Session
from bittrue.targets.override import Override
from bittrue.verify.explain.run import Explainer
from bittrue.verify.graph import GraphComparison
from bittrue.verify.policy import EXACT, Policy

Array = np.ndarray[Any, Any]


class ModelLayout(Mapping[str, Array]):
    """A dump in the layout of the model's graph, tensor by tensor: what the model says is stored NHWC becomes NCHW.
    Tensors that the model does not know are left out."""

    def __init__(self, dump: Mapping[str, Array], model: QuantizedModel) -> None:
        self._dump, self._types = dump, model.graph.types
        self._layouts: dict[str, str] = model.meta.get("layouts", {})
        self._names = [n for n in model.graph.activations() if n in dump]

    def __getitem__(self, name: str) -> Array:
        value = self._dump[name]
        if self._layouts.get(name) == "NHWC" and value.ndim == 4:
            return np.ascontiguousarray(value.transpose(0, 3, 1, 2))
        shape = self._types[name].shape
        return value.reshape(shape) if value.size == 1 and len(shape) == 0 else value

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def explain_dump(
    model: QuantizedModel, dump: Mapping[str, Array], *, policy: Policy = EXACT, seconds: float = 30.0
) -> tuple[Result, Override]:
    """(result with origins and causes, the rules proven on the way). The dump must hold the network's inputs.

    Raises DataError if an input is missing or nothing can be compared.
    """
    graph = model.graph
    known = ModelLayout(dump, model)
    missing = [n for n in graph.inputs if n not in known]
    if missing:
        raise DataError(f"the dump has no tensor '{missing[0]}', which is an input of the network")
    inputs = {n: known[n] for n in graph.inputs}
    session = Session(graph)
    comparison = GraphComparison(model, session, policy)
    layers = {n: known[n] for n in known if n not in graph.inputs}
    if not layers:
        raise DataError("the dump has no tensor of the model: nothing was compared")
    tensors = [t for t in comparison.compare(inputs, layers, {}, 1 << 40) if t.verdict != "EXTRA"]
    rules = Explainer(comparison.find_origins(tensors, inputs, layers, {}), seconds).explain(tensors)
    result = new_result("explain", name=graph.name, path=session.path, threads=session.threads)
    result.policy = policy.summary()
    evidence = evidence_counts([str(n.attrs.get("evidence", "")) for n in graph.nodes])
    result.target = {"name": model.target, "precision": model.precision, "evidence": evidence}
    result.add_stage(graph.name, 0, tensors)
    result.warnings += [f"left out of the comparison: {what}" for what in model.meta.get("left_out", [])]
    return result, Override(target=model.target, rules=rules)
