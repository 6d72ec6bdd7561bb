"""A float model and a compiled one: float layers by onnxruntime against dequantized layers. Judged by averages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.calibrate.float_runner import FloatRunner
from bittrue.errors import DataError, UsageError
from bittrue.graph.ir import Graph
from bittrue.importers import load_float_graph
from bittrue.report.result import Result, TensorResult, new_result
from bittrue.verify.fingerprints import input_records
from bittrue.verify.pairs.archives import float_description
from bittrue.verify.pairs.nets import CompiledNet, dequantized, open_nets
from bittrue.verify.pairs.options import CompareOptions
from bittrue.verify.policy import Policy
from bittrue.verify.tensors import compare_tensors_by_name

Array = np.ndarray[Any, Any]
AUDIT = Policy(name="audit", base="audit")


def compare_with_float(ref: Path, got: Path, options: CompareOptions) -> Result:
    """Inputs: those given, float, by the names of the float model; else the reference inputs of the context directory.

    A float layer that the compiled model does not have (it was fused) is MISSING and does not fail the run; a network
    output that it does not have does. Raises UsageError without inputs and for several networks, DataError for inputs
    that do not fit.
    """
    graph, nets = load_float_graph(ref), open_nets(got)
    if len(nets) != 1:
        raise UsageError(f"{got} has {len(nets)} stages; take one out with `bittrue bmodel extract`")
    (net,) = nets
    policy = options.policy_or(AUDIT)
    floats, feeds = _inputs(graph, net, options, f"{ref} and {got}")
    layers = [n for n in graph.activations() if n not in graph.inputs and graph.types[n].dtype == "float32"]
    truth = FloatRunner(graph, list(dict.fromkeys([*layers, *graph.outputs]))).run(floats)
    grids = net.grids()
    values = {n: dequantized(v, grids.get(n)) for n, v in net.run(feeds, options).items() if n not in feeds}
    result = new_result("compare", name=got.name)
    result.policy = policy.summary()
    result.sources = {"reference": str(ref), "run": str(got)}
    if net.model:
        result.target |= {"name": net.model.target, "precision": net.model.precision}
    result.inputs = input_records(floats)
    outputs = [*graph.outputs, *(io.name for io in net.outputs)]
    layer = float_description(graph)
    writers = net.model.graph.producer() if net.model else {}

    def describe(name: str) -> dict[str, Any]:
        evidence = str(writers[name].attrs.get("evidence", "")) if name in writers else ""
        return layer(name) | {"evidence": evidence} | ({"role": "output"} if name in outputs else {})

    tensors = compare_tensors_by_name(truth, values, policy, describe)
    for t in tensors:
        _mark_fused(t)
    result.add_stage(net.net, net.stage, sorted(tensors, key=lambda t: (t.role == "output", t.index)))
    if not result.summary.compared:
        raise DataError(f"{ref} and {got}: nothing was compared: no layer has the same name in both")
    return result


def _mark_fused(t: TensorResult) -> None:
    if t.verdict == "MISSING" and t.role != "output":
        t.required, t.detail = False, "the compiled model has no such layer (fused or renamed)"
    if t.verdict == "EXTRA":
        t.detail = "the float model has no such layer"


def _inputs(
    graph: Graph, net: CompiledNet, options: CompareOptions, where: str
) -> tuple[dict[str, Array], Mapping[str, Array]]:
    """(inputs of the float model, of the compiled one), the same values."""
    given = options.given_inputs()
    if given is None and net.reference is None:
        raise UsageError(f"{where}: no inputs: give --input FILE.npz or a context directory with reference data")
    source = given if given is not None else net.reference or {}
    if missing := [n for n in graph.inputs if n not in source]:
        raise DataError(f"{where}: the inputs have no '{missing[0]}'")
    grids = net.grids()
    floats = {}
    for name in graph.inputs:
        array, wanted = dequantized(source[name], grids.get(name)), graph.types[name]
        if array.shape != wanted.shape:
            raise DataError(
                f"{where}: input '{name}' is {list(wanted.shape)} in the float model, the data {list(array.shape)}"
            )
        floats[name] = np.ascontiguousarray(array, wanted.dtype)
    return floats, net.feeds(source)
