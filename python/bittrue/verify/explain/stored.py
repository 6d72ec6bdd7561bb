"""Explains layers of a stored result: opens again what was compared, simulates only the layers asked for."""

from __future__ import annotations

import hashlib
from collections import ChainMap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from bittrue.compiler import from_sections
from bittrue.containers.archive import open_archive
from bittrue.containers.build import read_compiled, stage_kind
from bittrue.containers.context_dir import ContextDir
from bittrue.errors import DataError, UnsupportedError, UsageError
from bittrue.report.result import Result, StageResult, TensorResult
from bittrue.targets.override import Override, change_arithmetic
from bittrue.verify.explain.run import Explainer
from bittrue.verify.replay import Replay

Array = np.ndarray[Any, Any]


def explain_result(
    result: Result, layer: str | None = None, seconds: float = 30.0, second: Path | None = None
) -> tuple[list[TensorResult], Override]:
    """(the layers explained, the rules proven on the way). `result` gets the causes.

    layer: name of a layer or tensor; None: every layer where an error was born. seconds: time for each layer. second:
    tensors of another sample from the same place as the reference, network inputs included; causes must hold there too.
    Raises UsageError for unknown layers, DataError if the files are no longer those of the result, UnsupportedError
    for command streams.
    """
    directory = result.sources.get("context_dir")
    if not directory:
        raise UsageError("the result does not say which context directory it is of; run `bittrue verify --json` again")
    context = ContextDir.open(directory)
    _check_inputs(result, context, str(directory))
    explained: list[TensorResult] = []
    rules = []
    for position, stage in enumerate(context.model.stages()):
        net = next((n for n in result.nets if (n.name, n.stage) == (str(stage.net.name), stage.stage_index)), None)
        if net is None or (layer is not None and not _find(net, layer)):
            continue
        if stage_kind(stage.stage) != "bittrue":
            raise UnsupportedError(
                f"{directory}: network '{net.name}' stage {net.stage} is a command stream: its layers cannot be "
                "simulated alone; compare a trace with `bittrue verify --reference`"
            )
        compiled = read_compiled(stage.stage)
        model = from_sections(compiled.sections, compiled.coefficients)
        graph = model.graph
        change_arithmetic(graph, model.target, result.sources.get("profile"), result.sources.get("arith"))
        layers: Mapping[str, Array] = context.layers
        if source := result.sources.get("layer_reference"):
            layers = open_archive(Path(source))
        parts = (context.inputs[position], layers, context.outputs[position])
        replay = Replay(graph, ChainMap(*(cast(dict[str, Array], p) for p in parts)))
        other = Replay(graph, open_archive(second)) if second else None
        rules += Explainer(replay, seconds, other).explain(net.tensors, layer)
        chosen = _find(net, layer) if layer else [t for t in net.tensors if t.causes]
        explained += chosen
    if layer is not None and not explained:
        names = [t.layer or t.name for n in result.nets for t in n.tensors]
        raise UsageError(f"the result has no layer '{layer}'; it has {', '.join(names[:8])}{' ...' * (len(names) > 8)}")
    result.summarize()
    return explained, Override(target=str(result.target.get("name", "")), rules=rules)


def _find(net: StageResult, layer: str) -> list[TensorResult]:
    found = [t for t in net.tensors if layer in (t.name, t.layer)]
    return [t for t in found if t.role != "output"] or found


def _check_inputs(result: Result, context: ContextDir, directory: str) -> None:
    known = {i["name"]: i.get("sha256") for i in result.inputs}
    for inputs in context.inputs:
        for name, array in inputs.items():
            digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
            if known.get(name) not in (None, digest) and len(context.inputs) == 1:
                raise DataError(f"{directory}: input '{name}' is not the one of the result (SHA-256 differs)")
