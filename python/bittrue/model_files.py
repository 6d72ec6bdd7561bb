"""Compiled models in files: reading .bmodel, context directories and quantized .onnx; writing context directories."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from bittrue import __version__
from bittrue.compiler import digest, from_sections, host_parts, to_sections
from bittrue.containers.bmodel import Bmodel, StageRef, read_bmodel
from bittrue.containers.build import IoTensor, Part, build_bmodel, read_compiled, stage_kind
from bittrue.containers.context_dir import MODEL, write_context_dir
from bittrue.containers.payload import FLAG_DIGESTS, FLAG_FLOAT_LAYERS, pack_payload
from bittrue.errors import DataError, UnsupportedError, UsageError
from bittrue.graph.onnx_file import OnnxOutline, read_outline
from bittrue.graph.onnx_io import DOMAIN
from bittrue.importers.tflite_quantized import load_tflite
from bittrue.ops import evaluate_graph
from bittrue.quantize.model import QuantizedModel
from bittrue.targets.loader import load_target

Array = np.ndarray[Any, Any]
PAGE = 4096


def is_quantized_onnx(path: Path) -> bool:
    """Whether an .onnx file holds a quantized graph. Raises DataError for files that are no ONNX model."""
    return _is_quantized(_outline(path).model)


def _outline(path: Path) -> OnnxOutline:
    try:
        return read_outline(path)
    except (OSError, DecodeError) as e:
        raise DataError(f"{path}: not an ONNX model ({type(e).__name__})") from e


def _is_quantized(model: onnx.ModelProto) -> bool:
    return any(o.domain == DOMAIN for o in model.opset_import)


def _load_quantized_onnx(path: Path) -> QuantizedModel:
    outline = _outline(path)
    if not _is_quantized(outline.model):
        raise DataError(f"{path}: a float model; compile it first")
    try:
        weights = outline.fill(path.parent)
    except Exception as e:  # missing external data raises the checker's own error type
        raise DataError(f"{path}: not a readable ONNX model ({type(e).__name__})") from e
    return QuantizedModel.from_onnx(outline.model, weights)


def find_stage(path: Path | str, *, net: str | None = None, stage: int = 0) -> tuple[Bmodel, StageRef]:
    """A stage of a .bmodel or context directory. Raises DataError for broken files, UsageError for unknown nets."""
    path = Path(path)
    if path.is_dir():
        path = path / MODEL
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
    """The quantized model in a .bmodel, a context directory, a quantized .onnx or a quantized .tflite.

    Raises DataError for broken files, UsageError for unknown nets or stages, UnsupportedError for stages of another
    kind.
    """
    path = Path(path)
    if path.suffix.lower() == ".tflite":
        return load_tflite(path)
    if path.suffix.lower() == ".onnx" and path.is_file():
        return _load_quantized_onnx(path)
    _, ref = find_stage(path, net=net, stage=stage)
    kind = stage_kind(ref.stage)
    if kind != "bittrue":
        raise UnsupportedError(f"{path}: network '{ref.net.name}' stage {stage}: {kind.replace('_', ' ')}")
    compiled = read_compiled(ref.stage)
    return from_sections(compiled.sections, compiled.coefficients)


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


@dataclass(frozen=True)
class Reference:
    """Reference data of a network. feeds: its inputs. layers: what its layers make of them, outputs included."""

    feeds: Mapping[str, Array]
    layers: Mapping[str, Array]

    def values(self, names: Iterable[str]) -> dict[str, Array]:
        """Some of the tensors."""
        return {n: self.layers[n] if n in self.layers else self.feeds[n] for n in names}


def reference_of(model: QuantizedModel, feeds: Mapping[str, Array]) -> Reference:
    """The tensors of a network by the numpy models of its ops, which share no code with the core. feeds: as
    `reference_feeds` gives them."""
    values = evaluate_graph(model.graph, dict(feeds))
    return Reference(feeds, {n: v for n, v in values.items() if n not in feeds})


def io_tensors(model: QuantizedModel, names: Iterable[str]) -> list[IoTensor]:
    """Tensors of a network as a bmodel describes them."""
    described = []
    for name in names:
        q, t = model.tensors.get(name), model.graph.types[name]
        described.append(IoTensor(name, t.dtype, t.shape, q.scale if q else 1.0, q.zero_point if q else 0))
    return described


def graph_io(model: QuantizedModel) -> tuple[list[IoTensor], list[IoTensor]]:
    """Inputs and outputs of a network."""
    return io_tensors(model, model.graph.inputs), io_tensors(model, model.graph.outputs)


def write_compiled(
    model: QuantizedModel,
    outdir: Path,
    reference: Reference | None,
    manifest: Mapping[str, Any],
    *,
    net_name: str,
    arena: int,
    flags: int = 0,
    extra_sections: Mapping[str, bytes] | None = None,
) -> None:
    """Writes a context directory of one network, with its reference data if there is any.

    manifest: further entries. arena: bytes of the buffers of a run. flags, extra_sections: more of the payload.
    Raises what `build_bmodel` and `write_context_dir` raise.
    """
    graph = model.graph
    layers = reference.layers if reference else {}
    sections, coefficients = to_sections(model, {n: digest(v) for n, v in layers.items()})
    sections |= extra_sections or {}
    flags |= FLAG_DIGESTS if layers else 0
    if any(graph.types[o].dtype == "float32" for n in graph.nodes for o in n.outputs if o):
        flags |= FLAG_FLOAT_LAYERS

    inputs, outputs = graph_io(model)
    bmodel = build_bmodel(
        chip=load_target(model.target).profile.chip,
        net_name=net_name,
        inputs=inputs,
        outputs=outputs,
        coefficients=list(coefficients.items()),
        payload=pack_payload(sections, flags),
        ctx_size=-(-arena // PAGE) * PAGE,
        parts=[
            Part(io_tensors(model, read), io_tensors(model, made), host) for read, made, host in host_parts(model.graph)
        ],
    )
    facts = {
        "tool": f"bittrue {__version__}",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "target": model.target,
    }
    if reference is None:
        write_context_dir(outdir, bmodel, None, None, manifest={**facts, **manifest})
        return
    results = reference.values(graph.outputs)
    write_context_dir(outdir, bmodel, [dict(reference.feeds)], [results], layers=layers, manifest={**facts, **manifest})
