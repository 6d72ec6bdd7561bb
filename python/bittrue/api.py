"""The functions behind the command line: small, typed, numpy in and out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from bittrue import __version__
from bittrue.audit.audit import AuditResult, run_audit
from bittrue.calibrate import calibrate as calibrate_graph
from bittrue.calibrate.data import Preprocess, Record, Records
from bittrue.calibrate.float_runner import FloatRunner
from bittrue.calibrate.methods import Parameters
from bittrue.calibrate.table import CalibrationTable
from bittrue.calibrate.transform import Transform
from bittrue.compiler import digest, from_sections, host_parts, to_sections
from bittrue.containers.bmodel import Bmodel, StageRef, read_bmodel, write_atomic
from bittrue.containers.build import IoTensor, Part, build_bmodel, read_compiled, stage_kind
from bittrue.containers.context_dir import file_sha256, save_npz, write_context_dir
from bittrue.containers.payload import FLAG_DIGESTS, FLAG_FLOAT_LAYERS, pack_payload
from bittrue.devices.bm1684.session import InstructionSession
from bittrue.errors import DataError, UnsupportedError, UsageError
from bittrue.graph.ir import Graph
from bittrue.graph.onnx_io import DOMAIN
from bittrue.importers import CaffeOptions, load_float_graph
from bittrue.ops import evaluate_graph
from bittrue.quantize.context import QuantizeOptions
from bittrue.quantize.model import QuantizedModel
from bittrue.quantize.quantizer import quantize
from bittrue.report.result import Result
from bittrue.runtime.session import RunResult, Session
from bittrue.targets.loader import load_target
from bittrue.verify import compare as compare_module
from bittrue.verify import verify as verify_module
from bittrue.verify.policy import Policy, load_policy, tolerance

__all__ = [
    "AuditResult", "CaffeOptions", "InstructionSession", "RunResult", "Session", "audit", "calibrate", "compare",
    "compile", "load", "load_float", "open_session", "quantize", "records", "verify", "write_npz",
]  # fmt: skip

Array = np.ndarray[Any, Any]
PAGE = 4096


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
) -> Result:
    """Compares two tensor archives by name. policy and tolerances: see `verify`. Raises DataError if nothing could be
    compared."""
    return compare_module.compare(ref, got, policy=policy_of(policy, accuracy_f, accuracy_i))


def is_quantized_onnx(path: Path) -> bool:
    """Whether an .onnx file holds a quantized graph. Raises DataError for files that are no ONNX model."""
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as e:  # protobuf and onnx raise unrelated types
        raise DataError(f"{path}: not an ONNX model ({type(e).__name__})") from e
    return any(o.domain == DOMAIN for o in model.opset_import)


def find_stage(path: Path | str, *, net: str | None = None, stage: int = 0) -> tuple[Bmodel, StageRef]:
    """A stage of a .bmodel or context directory. Raises DataError for broken files, UsageError for unknown nets."""
    path = Path(path)
    if path.is_dir():
        path = path / "compilation.bmodel"
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    model = read_bmodel(path)
    names = [str(n.name) for n in model.nets]
    wanted = net or (names[0] if names else "")
    if wanted not in names:
        raise UsageError(f"{path}: no network '{wanted}'; it has {', '.join(names) or 'none'}")
    ref = next((r for r in model.stages() if wanted == str(r.net.name) and r.stage_index == stage), None)
    if ref is None:
        raise UsageError(f"{path}: network '{wanted}' has no stage {stage}")
    return model, ref


def load(path: Path | str, *, net: str | None = None, stage: int = 0) -> QuantizedModel:
    """The quantized model in a .bmodel, a context directory or a quantized .onnx.

    Raises DataError for broken files, UsageError for unknown nets or stages, UnsupportedError for stages of another
    kind.
    """
    path = Path(path)
    if path.suffix.lower() == ".onnx" and path.is_file():
        if not is_quantized_onnx(path):
            raise DataError(f"{path}: a float model; compile it first")
        return QuantizedModel.from_onnx(onnx.load(str(path)))
    _, ref = find_stage(path, net=net, stage=stage)
    kind = stage_kind(ref.stage)
    if kind != "bittrue":
        raise UnsupportedError(f"{path}: network '{ref.net.name}' stage {stage}: {kind.replace('_', ' ')}")
    compiled = read_compiled(ref.stage)
    return from_sections(compiled.sections, compiled.coefficients)


def open_session(
    path: Path | str,
    *,
    net: str | None = None,
    stage: int = 0,
    path_: str | None = None,
    threads: int | None = None,
    gdma_first: bool = True,
    check_uninitialized: bool = False,
) -> Session | InstructionSession:
    """A runnable stage: a quantized graph, or the command streams of a compiled BM1684 network.

    path_: instruction set path. gdma_first, check_uninitialized: of command streams, see `InstructionSession`.
    Raises what `load` raises.
    """
    file = Path(path)
    if file.suffix.lower() != ".onnx":
        model, ref = find_stage(file, net=net, stage=stage)
        if stage_kind(ref.stage) == "instructions":
            return InstructionSession(
                model,
                ref,
                path=path_,
                threads=threads,
                gdma_first=gdma_first,
                check_uninitialized=check_uninitialized,
            )
    return Session(load(file, net=net, stage=stage).graph, path=path_, threads=threads)


def records(
    graph: Graph,
    data: Path,
    options: Preprocess | None = None,
    limit: int | None = None,
    transform: Transform | None = None,
) -> Records:
    """Records of a data set for the inputs of a graph. See `Records`."""
    return Records(graph, data, options or Preprocess(), limit, transform)


def calibrate(
    graph: Graph,
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


def reference_feeds(model: QuantizedModel, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Float samples as the inputs of a quantized model: quantized where the network takes quantized inputs."""
    result = {}
    for name in model.graph.inputs:
        dtype, value = model.graph.types[name].dtype, np.asarray(feeds[name])
        if dtype in ("int8", "uint8") and value.dtype == np.float32:
            info, scaled = np.iinfo(dtype), value / np.float32(model.tensors[name].scale)
            rounded = np.where(scaled >= 0, np.floor(scaled + 0.5), -np.floor(-scaled + 0.5))
            value = np.clip(rounded, info.min, info.max)
        result[name] = np.ascontiguousarray(value, dtype)
    return result


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
    seed: int = 0,
) -> QuantizedModel:
    """Quantizes a float graph and writes a context directory.

    reference: float inputs of the reference run; random normal values from `seed` without. The reference data comes
    from the numpy models of the ops. Raises what `quantize` raises, and DataError if the table is of another model.
    """
    if table and model_path and table.model_sha256 and table.model_sha256 != file_sha256(model_path):
        raise DataError(f"the calibration table was made for another model than {model_path}")
    options = QuantizeOptions(quant_input, quant_output, float_layers=frozenset(float_layers))
    model = quantize(graph, table.tensors if table else None, target, precision=precision, options=options)
    if reference is None:
        rng = np.random.default_rng(seed)
        reference = {n: rng.normal(0, 1, graph.types[n].shape).astype(np.float32) for n in graph.inputs}
    feeds = reference_feeds(model, reference)
    session = Session(model.graph)  # refuses what the core cannot run, before anything is written
    values = evaluate_graph(model.graph, feeds)
    layers = {n: v for n, v in values.items() if n not in model.graph.inputs}
    model.meta |= {
        "model_sha256": file_sha256(model_path) if model_path else "",
        "method": table.method if table else "",
        "samples": table.samples if table else 0,
    }
    sections, coefficients = to_sections(model, {n: digest(v) for n, v in layers.items()})
    floats = any(model.graph.types[n].dtype == "float32" for n in layers)

    def io(name: str) -> IoTensor:
        q, t = model.tensors.get(name), model.graph.types[name]
        return IoTensor(name, t.dtype, t.shape, q.scale if q else 1.0, q.zero_point if q else 0)

    bmodel = build_bmodel(
        chip=load_target(model.target).profile.chip,
        net_name=net_name,
        inputs=[io(n) for n in model.graph.inputs],
        outputs=[io(n) for n in model.graph.outputs],
        coefficients=list(coefficients.items()),
        payload=pack_payload(sections, FLAG_DIGESTS | (FLAG_FLOAT_LAYERS if floats else 0)),
        ctx_size=-(-session.arena_bytes // PAGE) * PAGE,
        parts=[
            Part([io(n) for n in read], [io(n) for n in made], host) for read, made, host in host_parts(model.graph)
        ],
    )
    manifest = {
        "tool": f"bittrue {__version__}",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "target": model.target,
        "precision": precision,
        "reference_made_by": "numpy models of the ops",
        **model.meta,
    }
    outputs = {n: values[n] for n in model.graph.outputs}
    write_context_dir(outdir, bmodel, [feeds], [outputs], layers=layers, manifest=manifest)
    return model


def audit(
    graph: Graph,
    model: QuantizedModel,
    data: Iterable[Record],
    *,
    path: str | None = None,
    threads: int | None = None,
) -> AuditResult:
    """Accuracy of a quantized model against its float graph on labelled data, and the layers that lose most."""
    layers = [n for n in graph.activations() if n in model.graph.types and graph.types[n].dtype == "float32"]
    runner = FloatRunner(graph, list(dict.fromkeys([*layers, *graph.outputs])))
    session = Session(model.graph, path=path, threads=threads)
    traced = [n for n in layers if n not in model.graph.inputs]

    def quantized(feeds: Mapping[str, Array]) -> dict[str, Array]:
        result = session.run(reference_feeds(model, feeds), trace=traced)
        values = {}
        for name, value in (*result.trace.items(), *result.outputs.items()):
            q = model.tensors.get(name)
            values[name] = (value.astype(np.float32) - q.zero_point) * np.float32(q.scale) if q else value
        return values

    ops = {o: n for n in model.graph.nodes for o in n.outputs}
    facts = {n: (ops[n].op, str(ops[n].attrs.get("evidence", ""))) for n in traced}
    return run_audit(runner.run, quantized, data, graph.outputs[0], model.graph.outputs[0], facts)


def write_npz(path: Path, arrays: Mapping[str, Array]) -> None:
    """Writes an archive under a temporary name, then renames it."""
    save_npz(path, dict(arrays))


def write_text(path: Path, text: str) -> None:
    """Writes a text file under a temporary name, then renames it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, text.encode())
