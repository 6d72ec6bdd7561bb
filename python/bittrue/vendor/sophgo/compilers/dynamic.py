"""Networks whose batch, height and width may change at run time.

A stage of such a network is compiled for its largest shapes and carries the files it was compiled from, so that it can
be lowered for others: the numbers are those of a network compiled for these shapes.
"""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import EncodeError

from bittrue.compiler import to_sections
from bittrue.containers.bmodel import StageRef
from bittrue.containers.build import read_compiled
from bittrue.containers.payload import FLAG_BATCH_DYNAMIC, FLAG_HW_DYNAMIC
from bittrue.errors import BittrueError, DataError, UnsupportedError, UsageError
from bittrue.quantize.model import QuantizedModel
from bittrue.runtime.session import Session
from bittrue.vendor.sophgo.compilers.frontends import Shape, Source, lower
from bittrue.vendor.sophgo.compilers.log import WARNING, Log

SECTION = "SRCE"  # of the payload: a ZIP archive of source.json and the files of the model
FACTS, MODEL, WEIGHT = "source.json", "model", "weight"
LARGEST_SOURCE = 3 << 29  # bytes; the payload has room for 2 GiB
KINDS = {FLAG_BATCH_DYNAMIC: "batch", FLAG_HW_DYNAMIC: "height and width"}


def _changed(shape: Shape, flag: int) -> Shape:
    """A shape of twice the batch, or of twice the height and width."""
    if flag == FLAG_BATCH_DYNAMIC:
        return (shape[0] * 2, *shape[1:]) if shape else shape
    return (*shape[:2], shape[2] * 2, shape[3] * 2) if len(shape) == 4 else shape


def dynamic_flags(source: Source, shapes: Mapping[str, Shape], target: str, log: Log) -> int:
    """What of a network may change, found by lowering it for other shapes. Raises UnsupportedError with the reasons if
    nothing may."""
    flags, reasons = 0, []
    for flag, kind in KINDS.items():
        others = {name: _changed(shape, flag) for name, shape in shapes.items()}
        if others == dict(shapes):
            reasons.append(f"{kind}: no input has it")
            continue
        try:
            Session(lower(source, others, target).model.graph)  # checks what lowering takes for granted
            flags |= flag
        except BittrueError as e:
            reasons.append(f"{kind}: {e}")
    if not flags:
        raise UnsupportedError(f"dyn: nothing of this network can change; {'; '.join(reasons)}")
    for reason in reasons:
        log.line(f"dyn: stays fixed: {reason}", WARNING)
    return flags


def source_section(source: Source, model: QuantizedModel) -> dict[str, bytes]:
    """The files of a source for the payload, with a digest of the coefficients that were made of them.

    Raises UnsupportedError if they are too large for it.
    """
    coefficients = to_sections(model, {})[1]
    facts = {**asdict(source), "model": source.model.name, "coefficients": _digest(coefficients.values())}
    facts["weight"] = source.weight.name if source.weight else None
    files = {FACTS: json.dumps(facts, sort_keys=True).encode(), MODEL: _model_bytes(source.model)}
    if source.weight:
        files[WEIGHT] = source.weight.read_bytes()
    size = sum(map(len, files.values()))
    if size >= LARGEST_SOURCE:
        raise UnsupportedError(
            f"dyn: the files of the model have {size} bytes; a dynamic network carries up to 1.5 GiB"
        )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return {SECTION: packed.getvalue()}


def _model_bytes(path: Path) -> bytes:
    """A model file; of ONNX with the data that it keeps in files beside it."""
    if path.suffix.lower() != ".onnx":
        return path.read_bytes()
    try:
        return onnx.load(str(path)).SerializeToString()
    except (ValueError, EncodeError) as e:  # protobuf's limit
        raise UnsupportedError(f"dyn: {path}: too large to be carried by a dynamic network") from e


def _digest(coefficients: Iterable[bytes]) -> str:
    whole = hashlib.sha256()
    for data in coefficients:
        whole.update(data)
    return whole.hexdigest()


def resized(ref: StageRef, shapes: Sequence[Shape]) -> QuantizedModel:
    """A dynamic stage lowered for other shapes of its inputs.

    Raises UsageError for shapes that it does not allow, DataError for a broken source and for weights that were changed
    after compilation, UnsupportedError for a stage without source, and what lowering raises.
    """
    compiled = read_compiled(ref.stage)
    where = f"network '{ref.net.name}' stage {ref.stage_index}"
    if SECTION not in compiled.sections:
        raise UnsupportedError(f"{where}: compiled without --dyn, it has only its own shapes")
    named = {}
    for tensor, shape in zip(compiled.inputs, shapes, strict=True):
        _check(f"{where}: input '{tensor.name}'", tensor.shape, shape, compiled.flags)
        named[tensor.name] = shape
    try:
        with zipfile.ZipFile(io.BytesIO(compiled.sections[SECTION])) as archive:
            facts: dict[str, Any] = json.loads(archive.read(FACTS))
            files = {name: archive.read(name) for name in archive.namelist()}
        digest, model, weight = facts.pop("coefficients"), facts["model"], facts["weight"]
        arch = json.loads(compiled.sections["ARCH"])
    except (zipfile.BadZipFile, KeyError, ValueError) as e:
        raise DataError(f"{where}: its source is broken ({e})") from e
    if digest != _digest(compiled.coefficients.values()):
        raise DataError(f"{where}: its weights were changed after compilation; for other shapes compile it again")
    with tempfile.TemporaryDirectory() as folder:
        paths = {key: Path(folder) / Path(name).name for key, name in ((MODEL, model), (WEIGHT, weight)) if name}
        for key, path in paths.items():
            path.write_bytes(files[key])
        names = {key: tuple(facts[key]) for key in ("input_names", "output_names")}
        source = Source(**{**facts, **names, "model": paths[MODEL], "weight": paths.get(WEIGHT)})
        return lower(source, named, arch["target"]).model


def _check(where: str, largest: Shape, shape: Shape, flags: int) -> None:
    """Raises UsageError unless a stage of these largest dimensions allows the shape."""
    if len(shape) != len(largest):
        raise UsageError(f"{where} has {len(largest)} dimensions, {list(shape)} has {len(shape)}")
    free = {0} if flags & FLAG_BATCH_DYNAMIC else set()
    if flags & FLAG_HW_DYNAMIC and len(largest) == 4:
        free |= {2, 3}
    for d, (most, given) in enumerate(zip(largest, shape, strict=True)):
        if given > most or (given != most and d not in free):
            limit = "at most" if d in free else "always"
            raise UsageError(f"{where}: dimension {d} is {limit} {most}, not {given}")
