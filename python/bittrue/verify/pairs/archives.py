"""Two archives of tensors: .npz, .npy, raw and text files, folders of them; or two traces of command streams."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.containers.archive import RAW, open_archive
from bittrue.containers.io_info import read_raw
from bittrue.errors import DataError, UsageError
from bittrue.graph.ir import Graph
from bittrue.importers import load_float_graph
from bittrue.model_files import load
from bittrue.quantize.model import QuantizedModel
from bittrue.report.result import Result, TensorResult, new_result
from bittrue.runtime.session import Session
from bittrue.verify.dump import UNKNOWN, Dump, DumpOptions, Want, model_want, named_dump
from bittrue.verify.fingerprints import check_fingerprints, fingerprints, sha256
from bittrue.verify.graph import GraphComparison
from bittrue.verify.pairs.kinds import kind_of
from bittrue.verify.pairs.options import CompareOptions
from bittrue.verify.pairs.origins import find_side
from bittrue.verify.policy import EXACT, Policy
from bittrue.verify.tensors import compare_tensors_by_name
from bittrue.verify.traces import compare_traces, first_difference, is_trace

Array = np.ndarray[Any, Any]


def compare_archives(ref: Path, got: Path, options: CompareOptions) -> Result:
    """Every name of either side is a tensor of the result. Raises DataError if nothing could be compared or if the
    sides say that they were made from other inputs."""
    a, b = _open(ref, options.io), _open(got, options.io)
    policy = options.policy_or(EXACT)
    result = new_result("compare", name=got.name)
    result.policy = policy.summary()
    result.sources = {"reference": str(ref), "run": str(got)}
    if is_trace(a) or is_trace(b):
        if options.model or DumpOptions() != options.dump or DumpOptions() != options.ref_dump:
            raise UsageError("traces of command streams are compared as they are: no map, layout or model")
        tensors = compare_traces(a, b, policy)
        if line := first_difference(a, b, tensors):
            result.warnings.append(line)
    else:
        tensors = _compare((a, b), (ref, got), policy, options, result)
    if not any(t.n or t.verdict != "EQUAL" for t in tensors):
        raise DataError(f"{ref} and {got}: nothing was compared")
    result.add_stage(got.name, 0, tensors)
    return result


def _open(path: Path, io: Path | None) -> Mapping[str, Array]:
    if io is not None and path.suffix.lower() in RAW and not path.is_dir():
        return read_raw(path, io)
    return open_archive(path)


def _compare(
    archives: tuple[Mapping[str, Array], Mapping[str, Array]],
    paths: tuple[Path, Path],
    policy: Policy,
    options: CompareOptions,
    result: Result,
) -> list[TensorResult]:
    quantized, graph = _model(options.model)
    ref = named_dump(archives[0], options.ref_dump, str(paths[0]), graph, quantized)
    got = named_dump(archives[1], options.dump, str(paths[1]), graph, quantized)
    ref.shared = got.shared = (ref, got)
    known = model_want(quantized.graph) if quantized else lambda _: UNKNOWN
    ref.want, got.want = _first(known, got.says), _first(known, ref.says)
    if options.dump.match_by_values:
        got.match_values(ref, set(ref))
    if options.ref_dump.match_by_values:
        ref.match_values(got, set(got))
    result.warnings += check_fingerprints(_carried(ref, graph), _carried(got, graph), options.allow_other_inputs)
    comparison = None
    if quantized:
        session = Session(quantized.graph, path=options.path, threads=options.threads)
        comparison = GraphComparison(quantized, session, policy)
        result.target |= {"name": quantized.target, "precision": quantized.precision}
    describe = comparison.describe if comparison else float_description(graph) if graph else None
    tensors = compare_tensors_by_name(ref, got, policy, _with_roles(describe, graph) if describe and graph else None)
    for dump in (ref, got):
        dump.annotate(tensors)
        result.warnings += dump.warnings
    if graph:
        result.sources["model"] = str(options.model)
        tensors = sorted(tensors, key=lambda t: t.index)
        if comparison:
            find_side(comparison, tensors, ref, got)
        else:
            result.warnings.append(f"{options.model} is a float model: no layer was simulated, so no origins")
    return tensors


def _with_roles(describe: Callable[[str], dict[str, Any]], graph: Graph) -> Callable[[str], dict[str, Any]]:
    """The same fields; network inputs come first, outputs are outputs."""

    def described(name: str) -> dict[str, Any]:
        if name in graph.inputs:
            return describe(name) | {"role": "input", "index": -1}
        return describe(name) | ({"role": "output"} if name in graph.outputs else {})

    return described


def _carried(dump: Dump, graph: Graph | None) -> dict[str, str]:
    """Fingerprints of the inputs that a dump was made from, as far as it or the model says what they are."""
    held = [n for n in graph.inputs if n in dump] if graph else []
    return fingerprints(dump.archive, dump.where) | {n: sha256(dump[n]) for n in held}


def _first(known: Callable[[str], Want], other: Callable[[str], Want]) -> Callable[[str], Want]:
    """What the model says about a tensor, else the other side."""

    def want(name: str) -> Want:
        said = known(name)
        return other(name) if said is UNKNOWN else said

    return want


def _model(path: Path | None) -> tuple[QuantizedModel | None, Graph | None]:
    """(the quantized model if it is one, its graph or the float graph)."""
    if path is None:
        return None, None
    if kind_of(path) == "float":
        return None, load_float_graph(path)
    model = load(path)
    return model, model.graph


def float_description(graph: Graph) -> Callable[[str], dict[str, Any]]:
    """Order, layer and op of the tensors of a float graph, as fields of a `TensorResult`."""
    writers = {o: (k, n) for k, n in enumerate(graph.nodes) for o in n.outputs}

    def describe(name: str) -> dict[str, Any]:
        if name not in writers:
            return {"index": len(graph.nodes)}
        index, node = writers[name]
        return {"index": index, "layer": node.name, "op": node.op}

    return describe
