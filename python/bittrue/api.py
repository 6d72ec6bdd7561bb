"""The functions behind the command line: small, typed, numpy in and out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.audit.audit import DIVERGENCE_DB, AuditResult, run_audit
from bittrue.audit.networks import simulation
from bittrue.audit.overflow import OverflowAudit, run_overflow
from bittrue.audit.sensitivity import MixedNetwork, Sensitivity
from bittrue.audit.sensitivity import run_sensitivity as sensitivity
from bittrue.audit.tune import Budget, Tuning
from bittrue.audit.tune import run_tune as tune
from bittrue.calibrate import calibrate as calibrate_graph
from bittrue.calibrate.data import Preprocess, Record, Records
from bittrue.calibrate.float_runner import FloatRunner
from bittrue.calibrate.methods import Parameters
from bittrue.calibrate.table import CalibrationTable
from bittrue.calibrate.transform import Transform
from bittrue.containers.bmodel import write_atomic
from bittrue.containers.build import stage_kind
from bittrue.containers.context_dir import file_sha256, save_npz
from bittrue.containers.image_list import ImageList
from bittrue.containers.lmdb_folder import LmdbFolder
from bittrue.devices.bm1684.session import InstructionSession
from bittrue.errors import DataError, UsageError
from bittrue.graph.ir import Graph
from bittrue.graph.shaped import ShapedGraphs
from bittrue.importers import CaffeOptions, load_float_graph
from bittrue.model_files import find_stage, is_quantized_onnx, load, reference_feeds, reference_of, write_compiled
from bittrue.quantize.context import QuantizeOptions
from bittrue.quantize.model import QuantizedModel
from bittrue.quantize.quantizer import quantize
from bittrue.report.result import Result
from bittrue.runtime.session import RunResult, Session
from bittrue.targets.loader import load_target
from bittrue.targets.override import change_arithmetic
from bittrue.verify import compare as compare_module
from bittrue.verify import verify as verify_module
from bittrue.verify.policy import Policy, load_policy, tolerance
from bittrue.verify.repro import Bundle, write_bundle

__all__ = [
    "AuditResult", "Budget", "CaffeOptions", "InstructionSession", "MixedNetwork", "OverflowAudit", "RunResult",
    "Sensitivity", "Session", "Tuning", "audit", "calibrate", "compare", "compile", "find_stage", "is_quantized_onnx",
    "load", "load_float", "load_shaped", "open_session", "overflow", "quantize", "records", "reference_feeds", "repro",
    "sensitivity", "tune", "verify", "write_npz",
]  # fmt: skip

Array = np.ndarray[Any, Any]


def parse_shapes(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """`name=1x3x224x224` texts to shapes by input name. Raises UsageError."""
    shapes: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, _, dims = text.rpartition("=")
        try:
            shape = tuple(int(d) for d in dims.split("x"))
        except ValueError:
            shape = ()
        if not name or not shape or min(shape) < 1:
            raise UsageError(f"--shape {text}: expected name=1x3x224x224")
        shapes[name] = shape
    return shapes


def load_float(
    path: Path | str, *, shapes: Mapping[str, tuple[int, ...]] | None = None, caffe: CaffeOptions | None = None
) -> Graph:
    """The float graph of a model file. See `bittrue.importers.load_float_graph`."""
    return load_float_graph(path, input_shapes=shapes, caffe=caffe)


def load_shaped(
    path: Path | str, *, shapes: Mapping[str, tuple[int, ...]] | None = None, caffe: CaffeOptions | None = None
) -> ShapedGraphs:
    """The float network of a model file at any shapes of its inputs that its layers take; `shapes`: those it is read
    with first. See `load_float` and `ShapedGraphs`."""
    return ShapedGraphs(load_float(path, shapes=shapes, caffe=caffe), lambda s: load_float(path, shapes=s, caffe=caffe))


def policy_of(policy: Policy | Path | str | None, accuracy_f: float | None, accuracy_i: int) -> Policy:
    """A policy, from its file or from the two tolerances of the vendor's tester. Raises UsageError for both."""
    if policy is None:
        return tolerance(accuracy_f, accuracy_i)
    if accuracy_f is not None or accuracy_i:
        raise UsageError("a policy and accuracy_f or accuracy_i: give one of them")
    return policy if isinstance(policy, Policy) else load_policy(policy)


def verify(
    directory: Path | str,
    *,
    policy: Policy | Path | str | None = None,
    accuracy_f: float | None = None,
    accuracy_i: int = 0,
    stream: verify_module.StreamOptions | None = None,
    **options: Any,
) -> Result:
    """Simulates a context directory and compares it with its reference data.

    policy: what may differ (a policy or its file), or the two tolerances of the vendor's tester; default: nothing.
    options: the other fields of `bittrue.verify.verify.Options`. stream: of compiled command streams.
    Raises what `bittrue.verify.verify.verify` raises.
    """
    chosen = verify_module.Options(policy=policy_of(policy, accuracy_f, accuracy_i), **options)
    return verify_module.verify(directory, chosen, stream)


def compare(
    ref: Path | str,
    got: Path | str,
    *,
    policy: Policy | Path | str | None = None,
    accuracy_f: float | None = None,
    accuracy_i: int = 0,
    **options: Any,
) -> Result:
    """Compares two tensor archives, two compiled models, a float model with a compiled one, or two stored results.

    policy and tolerances: see `verify`; default: nothing may differ, or averages for a float model. options: the other
    fields of `bittrue.verify.compare.CompareOptions`. Raises what `bittrue.verify.compare.compare` raises.
    """
    judged = policy is not None or accuracy_f is not None or accuracy_i != 0
    chosen = policy_of(policy, accuracy_f, accuracy_i) if judged else None
    return compare_module.compare(ref, got, options=compare_module.CompareOptions(policy=chosen, **options))


def repro(result: Result, layer: str, outdir: Path) -> Bundle:
    """Writes one layer of a verification that failed as a context directory that fails alone, in the same way. See
    `bittrue.verify.repro.write_bundle`."""
    return write_bundle(result, layer, outdir)


def open_session(
    path: Path | str,
    *,
    net: str | None = None,
    stage: int = 0,
    path_: str | None = None,
    threads: int | None = None,
    gdma_first: bool = True,
    check_uninitialized: bool = False,
    profile: Path | None = None,
    arith: Mapping[str, str] | None = None,
) -> Session | InstructionSession:
    """A runnable stage: a quantized graph, or the command streams of a compiled BM1684 network.

    path_: instruction set path. profile, arith: changed rules of the target, for graphs. gdma_first,
    check_uninitialized: of command streams, see `InstructionSession`.
    Raises what `load` raises.
    """
    file = Path(path)
    if file.suffix.lower() not in (".onnx", ".tflite"):
        model, ref = find_stage(file, net=net, stage=stage)
        if stage_kind(ref.stage) == "instructions":
            if profile or arith:
                raise UsageError(f"{file}: a target profile changes graphs; this is a command stream")
            return InstructionSession(
                model,
                ref,
                path=path_,
                threads=threads,
                gdma_first=gdma_first,
                check_uninitialized=check_uninitialized,
            )
    quantized = load(file, net=net, stage=stage)
    apply_profile(quantized, profile, arith)
    return Session(quantized.graph, path=path_, threads=threads)


def apply_profile(model: QuantizedModel, profile: Path | None = None, arith: Mapping[str, str] | None = None) -> None:
    """Changes a model's arithmetic as a user's profile and named rules say, and records it in the model.

    Raises what `change_arithmetic` raises.
    """
    model.meta |= change_arithmetic(model.graph, model.target, profile, arith)


def records(
    graph: Graph,
    data: Path | LmdbFolder | ImageList,
    options: Preprocess | None = None,
    limit: int | None = None,
    transform: Transform | None = None,
    any_shape: bool = False,
) -> Records:
    """Records of a data set for the inputs of a graph. See `Records`."""
    return Records(graph, data, options or Preprocess(), limit, transform, any_shape=any_shape)


def calibrate(
    graph: Graph | ShapedGraphs,
    data: Iterable[Record],
    *,
    method: str = "kl",
    parameters: Parameters | None = None,
    model_path: Path | None = None,
    progress: bool = False,
) -> CalibrationTable:
    """Thresholds of a float graph; see `bittrue.calibrate.calibrate`."""
    sha = file_sha256(model_path) if model_path else ""
    return calibrate_graph(graph, data, method=method, parameters=parameters, model_sha256=sha, progress=progress)


def check_table(table: CalibrationTable, model_path: Path) -> None:
    """Raises DataError if the table says that it was made for another model file."""
    if table.model_sha256 and table.model_sha256 != file_sha256(model_path):
        raise DataError(f"the calibration table was made for another model than {model_path}")


def compile(
    graph: Graph,
    target: str,
    outdir: Path,
    *,
    precision: str = "int8",
    table: CalibrationTable | None = None,
    reference: Mapping[str, Array] | None = None,
    net_name: str = "net",
    model_path: Path | None = None,
    quant_input: bool = False,
    quant_output: bool = False,
    float_layers: Iterable[str] = (),
    winograd: bool = False,
    profile: Path | None = None,
    arith: Mapping[str, str] | None = None,
    seed: int = 0,
) -> QuantizedModel:
    """Quantizes a float graph and writes a context directory.

    winograd: 3x3 convolutions run as Winograd F(2,3) where the target has it. profile, arith: changed rules of the
    target. reference: float inputs of the reference run; random normal values from
    `seed` without. The reference data comes from the numpy models of the ops. Raises what `quantize` raises, and
    DataError if the table is of another model.
    """
    if table and model_path:
        check_table(table, model_path)
    convolutions = frozenset(n.name for n in graph.nodes if winograd and n.op == "Conv")
    options = QuantizeOptions(quant_input, quant_output, (), frozenset(float_layers), convolutions)
    model = quantize(graph, table.tensors if table else None, target, precision=precision, options=options)
    apply_profile(model, profile, arith)
    if reference is None:
        rng = np.random.default_rng(seed)
        reference = {n: rng.normal(0, 1, graph.types[n].shape).astype(np.float32) for n in graph.inputs}
    feeds = reference_feeds(model, reference)
    session = Session(model.graph)  # refuses what the core cannot run, before anything is written
    model.meta |= {
        "model_sha256": file_sha256(model_path) if model_path else "",
        "table_sha256": table.sha256 if table else "",
        "profile_sha256": load_target(model.target).profile.sha256,
        "method": table.method if table else "",
        "samples": table.samples if table else 0,
    }
    manifest = {
        "precision": precision,
        "reference_made_by": "numpy models of the ops",
        **model.meta,
    }
    made = reference_of(model, feeds)
    write_compiled(model, outdir, made, manifest, net_name=net_name, arena=session.arena_bytes)
    return model


def audit(
    graph: Graph,
    model: QuantizedModel,
    data: Iterable[Record],
    *,
    divergence_db: float = DIVERGENCE_DB,
    path: str | None = None,
    threads: int | None = None,
) -> AuditResult:
    """Accuracy of a quantized model against its float graph on labelled data, and the layers that lose most.

    divergence_db: a flipped sample's float and quantized values count as separated at the first layer whose SQNR on
    this sample is lower.
    """
    layers = [n for n in graph.activations() if n in model.graph.types and graph.types[n].dtype == "float32"]
    runner = FloatRunner(graph, list(dict.fromkeys([*layers, *graph.outputs])))
    traced = [n for n in layers if n not in model.graph.inputs]
    simulated = simulation(model, traced, path=path, threads=threads)
    ops = {o: n for n in model.graph.nodes for o in n.outputs}
    facts = {n: (ops[n].op, str(ops[n].attrs.get("evidence", ""))) for n in traced}
    return run_audit(runner.run, simulated, data, graph.outputs[0], model.graph.outputs[0], facts, divergence_db)


def overflow(
    model: QuantizedModel,
    data: Iterable[Record],
    *,
    graph: Graph | None = None,
    path: str | None = None,
    threads: int | None = None,
) -> OverflowAudit:
    """Range, worst case and headroom of every accumulator, saturation of every output, values that thresholds clip.

    data: records of the model's own inputs. graph: the float graph; with it the float values are held against the
    thresholds, without it only those that the simulated network quantizes from float. Raises DataError without samples.
    """
    float_run = None
    if graph is not None:
        names = [n for n in graph.activations() if graph.types[n].dtype == "float32"]
        float_run = FloatRunner(graph, names).run
    return run_overflow(model, data, lambda feeds: reference_feeds(model, feeds), float_run, path=path, threads=threads)


def write_npz(path: Path, arrays: Mapping[str, Array]) -> None:
    """Writes an archive under a temporary name, then renames it."""
    save_npz(path, dict(arrays))


def write_text(path: Path, text: str) -> None:
    """Writes a text file under a temporary name, then renames it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, text.encode())
