"""A dump of all tensors of a model, made elsewhere: what differs, where it was born, why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bittrue.errors import DataError
from bittrue.quantize.model import QuantizedModel
from bittrue.report.result import Result, evidence_counts, new_result
from bittrue.runtime.session import Session
from bittrue.targets.override import Override
from bittrue.verify.dump import DumpOptions, model_want, named_dump
from bittrue.verify.explain.run import Explainer
from bittrue.verify.graph import GraphComparison
from bittrue.verify.policy import EXACT, Policy

Array = np.ndarray[Any, Any]


def explain_dump(
    model: QuantizedModel, dump: Mapping[str, Array], *, policy: Policy = EXACT, seconds: float = 30.0
) -> tuple[Result, Override]:
    """(result with origins and causes, the rules proven on the way). The dump must hold the network's inputs.

    Raises DataError if an input is missing or nothing can be compared.
    """
    graph = model.graph
    known = named_dump(dump, DumpOptions(), "the dump", graph, model)
    known.want = model_want(graph)
    missing = [n for n in graph.inputs if n not in known]
    if missing:
        raise DataError(f"the dump has no tensor '{missing[0]}', which is an input of the network")
    inputs = {n: known[n] for n in graph.inputs}
    session = Session(graph)
    comparison = GraphComparison(model, session, policy)
    layers = {n: known[n] for n in graph.activations() if n in known and n not in graph.inputs}
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
