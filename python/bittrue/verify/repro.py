"""One layer of a failed verification as a context directory of its own, which fails alone in the same way."""

from __future__ import annotations

import shutil
import tempfile
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from bittrue import __version__
from bittrue.errors import DataError, UsageError
from bittrue.model_files import Reference, write_compiled
from bittrue.quantize.model import QuantizedModel
from bittrue.report.result import Result, TensorResult, failure_sentence
from bittrue.runtime.session import Session
from bittrue.targets.loader import load_target
from bittrue.verify.metrics import compare_tensors
from bittrue.verify.replay import subgraph
from bittrue.verify.stored_stages import StoredStage, stored_stages, unknown_layer
from bittrue.verify.verify import Options, verify

Array = np.ndarray[Any, Any]
RESULT, README, PROFILE, USER_PROFILE = "result.json", "README.txt", "target_profile.yaml", "user_profile.yaml"


@dataclass(frozen=True)
class Bundle:
    """What was written: n_bad of n elements of the tensor differ when the bundle runs, made by these layers."""

    path: Path
    tensor: str
    layers: list[str]
    n: int
    n_bad: int


def write_bundle(result: Result, layer: str, outdir: Path) -> Bundle:
    """Writes the quantized graph of a layer (or of the smallest part between tensors of the reference), the
    reference's inputs and its expected values, and runs it once to see that it fails as it did in the network.

    layer: name of a layer or tensor. Raises UsageError for unknown layers and layers that do not fail on the
    reference's own inputs, DataError if the files are no longer those of the result or an input is not in the
    reference, and what `write_context_dir` raises.
    """
    stage, t = _failing(result, layer)
    if t.name not in stage.replay.known:
        raise UsageError(f"layer '{layer}': the reference has no values of '{t.name}'")
    played = stage.replay.run(t.name)
    if played is None:
        raise DataError(f"layer '{layer}': the reference lacks the tensors it reads, network inputs included")
    simulated, nodes, inputs = played
    expected = stage.replay.known[t.name]
    if expected.shape != simulated.shape or expected.dtype != simulated.dtype:
        raise UsageError(f"layer '{layer}': {t.detail}: the reference has no values that can be expected")
    wanted = compare_tensors(expected, simulated).n_bad
    if not wanted:
        raise UsageError(
            f"layer '{layer}' ({t.origin or t.verdict}) is equal on the reference's own inputs: nothing to reproduce"
        )
    graph = subgraph(stage.model.graph, nodes, inputs, [t.name])
    records = {n: q for n, q in stage.model.tensors.items() if n in graph.types}
    model = replace(stage.model, graph=graph, tensors=records)
    bundle = Bundle(outdir, t.name, [n.name for n in nodes], simulated.size, wanted)
    try:
        outdir.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".repro.", dir=outdir.parent) as work:
            folder = Path(work) / "bundle"
            _write_context(folder, model, {i: stage.replay.known[i] for i in inputs}, {t.name: expected}, result)
            again = verify(folder, Options(explain=False))
            found = again.nets[0].tensors[-1].n_bad
            if found != wanted:
                raise DataError(f"layer '{layer}': {wanted} elements differ in the network, {found} in the bundle")
            again.sources = {"context_dir": "."}
            again.save(folder / RESULT)
            (folder / PROFILE).write_text(_profile_text(model.target))
            if given := result.sources.get("profile"):
                shutil.copyfile(given, folder / USER_PROFILE)
            (folder / README).write_text(_readme(t, bundle, model))
            outdir.mkdir(exist_ok=True)
            for file in folder.iterdir():
                file.replace(outdir / file.name)
    except OSError as e:
        raise DataError(f"cannot write {outdir}: {e.strerror or e}") from e
    return bundle


def _write_context(
    folder: Path,
    model: QuantizedModel,
    feeds: Mapping[str, Array],
    expected: Mapping[str, Array],
    result: Result,
) -> None:
    reference = result.sources.get("layer_reference") or result.sources["context_dir"]
    manifest = {"precision": model.precision, "reference_made_by": Path(reference).name, **model.meta}
    name, arena = model.graph.nodes[-1].name, Session(model.graph).arena_bytes
    write_compiled(model, folder, Reference(feeds, expected), manifest, net_name=name, arena=arena)


def _failing(result: Result, layer: str) -> tuple[StoredStage, TensorResult]:
    for stage in stored_stages(result, layer):
        found = stage.find(layer)
        return stage, next((t for t in found if not t.passed), found[0])
    raise unknown_layer(result, layer)


def _profile_text(target: str) -> str:
    return yaml.safe_dump(load_target(target).profile.model_dump(mode="json"), sort_keys=False)


def _readme(t: TensorResult, bundle: Bundle, model: QuantizedModel) -> str:
    evidence = ", ".join(f"{n.name} ({n.op}): {n.attrs.get('evidence', 'no label')}" for n in model.graph.nodes)
    return f"""One layer that differs from its reference, alone.

{textwrap.fill(failure_sentence(t), 100)}

layers:    {", ".join(bundle.layers)}
tensor:    {bundle.tensor}, {bundle.n_bad} of {bundle.n} elements differ
target:    {model.target}, {model.precision}
evidence:  {evidence}
made with: bittrue {__version__}

Run it:

    bittrue verify --context_dir .

It ends with exit code 1 and {bundle.n_bad} differing elements; {RESULT} is what it found when it was made.
`bittrue explain {RESULT}` looks for the cause.

compilation.bmodel    the quantized graph of the layer with its weights and complete arithmetic
input_ref_data.dat    the reference's tensors that the layer reads
output_ref_data.dat   the reference's tensor that it should have written; layers_ref.npz holds the same
manifest.json         hashes and origin
{PROFILE}   the rules of the target as shipped, with their evidence; what a user's profile ({USER_PROFILE}) or
                      --arith changed is in the graph already
"""
