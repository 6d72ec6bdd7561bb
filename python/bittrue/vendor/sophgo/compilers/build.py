"""One compilation: load, lower, compare every layer, write."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.containers.bmodel import write_atomic
from bittrue.containers.context_dir import INPUTS, IO_INFO, LAYERS, MANIFEST, MODEL, OUTPUTS, file_sha256
from bittrue.errors import DataError, UsageError
from bittrue.model_files import reference_feeds, reference_of, write_compiled
from bittrue.quantize.model import QuantizedModel
from bittrue.runtime.layer_costs import as_csv, layer_costs, total
from bittrue.runtime.session import Session
from bittrue.targets.loader import load_target
from bittrue.vendor.sophgo.arguments import Parsed
from bittrue.vendor.sophgo.compilers import dynamic
from bittrue.vendor.sophgo.compilers.check import compare_layers
from bittrue.vendor.sophgo.compilers.frontends import FRONTENDS, Shape, Source, lower, resolve_shapes
from bittrue.vendor.sophgo.compilers.log import DEBUG, Log
from bittrue.vendor.sophgo.compilers.options import DEFAULT_CHIP
from bittrue.vendor.sophgo.compilers.reference_inputs import parse_descs, reference_inputs

Array = np.ndarray[Any, Any]
PROFILE = "layer_profile.csv"
FILES = {MODEL, INPUTS, OUTPUTS, IO_INFO, LAYERS, MANIFEST}


def shapes_of(source: Source, options: Parsed) -> dict[str, Shape]:
    """The shape of every input. Raises UsageError."""
    declared = FRONTENDS[source.tool].inputs(source)
    return resolve_shapes(declared, options["shapes"] or [], options["dyn"], options.values.get("max_n"))


def build(source: Source, options: Parsed, log: Log) -> None:
    """Compiles a network and writes its folder; nothing is written unless all of it succeeds.

    Raises what `lower` raises, MismatchError of the comparison, and what writing raises.
    """
    target, outdir = options["target"] or DEFAULT_CHIP, Path(options["outdir"])
    if options["clean"]:
        _check_cleanable(outdir, [source.model, source.weight, options["log_dir"]])
    shapes = shapes_of(source, options)
    lowered = lower(source, shapes, target)
    model = lowered.model
    log.line(f"{len(model.graph.nodes)} layers for {target} {model.precision}, inputs {_shown(shapes)}")
    session = Session(model.graph)  # refuses what the core cannot run
    flags = dynamic.dynamic_flags(source, shapes, target, log) if options["dyn"] else 0
    descs = parse_descs(text) if (text := options.values.get("descs")) else {}
    feeds = reference_feeds(model, reference_inputs(lowered.graph, descs, options["seed"]))
    reference = reference_of(model, feeds) if options["cmp"] or options["dump_ref"] else None
    if options["cmp"] and reference:
        count = compare_layers(model, session, reference)
        log.line(f"compared {count} tensors of all layers with the reference: all equal")
    profile = _profile(model, session, feeds, log) if options["enable_profile"] else None
    for side, names in (("input", model.graph.inputs), ("output", model.graph.outputs)):
        for name in names:
            log.line(f"save_tensor {side} name [{name}]")
    write_compiled(
        model,
        outdir,
        reference,
        _manifest(source, options, model),
        net_name=options["net_name"] or (source.model.stem if source.tool == "bmneto" else lowered.graph.name),
        arena=session.arena_bytes,
        flags=flags,
        extra_sections=dynamic.source_section(source, model) if flags else {},
    )
    if profile:
        write_atomic(outdir / PROFILE, profile.encode())
    if options["clean"]:
        _clean(outdir, {*FILES, PROFILE} if profile else FILES)
    elif not profile:
        (outdir / PROFILE).unlink(missing_ok=True)  # of an earlier network
    log.stored(options["log-style"])


def _shown(shapes: Mapping[str, Shape]) -> str:
    return ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())


def _profile(model: QuantizedModel, session: Session, feeds: Mapping[str, Array], log: Log) -> str:
    session.run(feeds)
    costs = layer_costs(model.graph, session.node_seconds)
    log.line(f"profile: {total(costs)}")
    for cost in costs:
        log.line(f"profile: {cost.layer} ({cost.op}) {cost.macs} MAC {cost.microseconds} us", DEBUG)
    return as_csv(costs)


def _manifest(source: Source, options: Parsed, model: QuantizedModel) -> dict[str, Any]:
    """Where the network is from; also recorded in the model itself."""
    model.meta |= {
        "model_sha256": file_sha256(source.weight or source.model),
        "profile_sha256": load_target(model.target).profile.sha256,
    }
    made_by = "numpy models of the ops" if options["cmp"] or options["dump_ref"] else "none"
    facts = {"compiler": source.tool, "precision": model.precision, "reference_made_by": made_by}
    return {**facts, "seed": options["seed"], "descs": options.values.get("descs"), **model.meta}


def _check_cleanable(outdir: Path, needed: Sequence[Path | str | None]) -> None:
    """Raises UsageError if a needed path or the current folder lies in a folder that is to be emptied."""
    for path in (*needed, Path.cwd()):
        if path and Path(path).resolve().is_relative_to(outdir.resolve()):
            raise UsageError(f"--clean: {path} lies in {outdir}, which would be emptied")


def _clean(outdir: Path, kept: Collection[str]) -> None:
    """Removes everything else that a folder holds. Raises DataError if that cannot be."""
    try:
        for path in outdir.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name not in kept:
                path.unlink()
    except OSError as e:
        raise DataError(f"{outdir}: cannot be emptied ({e.strerror or e})") from e
