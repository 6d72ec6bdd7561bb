"""Opens again what a stored verification compared: the graph of each stage and its reference tensors."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from bittrue.compiler import from_sections
from bittrue.containers.build import read_compiled, stage_kind
from bittrue.containers.context_dir import ContextDir
from bittrue.errors import DataError, UnsupportedError, UsageError
from bittrue.quantize.model import QuantizedModel
from bittrue.report.result import Result, StageResult, TensorResult
from bittrue.runtime.session import Session
from bittrue.targets.override import change_arithmetic
from bittrue.verify.dump import DumpOptions, open_dump
from bittrue.verify.fingerprints import sha256
from bittrue.verify.replay import Replay

Array = np.ndarray[Any, Any]


@dataclass
class StoredStage:
    """net: what was found. model: with the user's profile, if there was one. replay: on the reference's tensors. how:
    other dumps from the same place are read."""

    net: StageResult
    model: QuantizedModel
    replay: Replay
    how: DumpOptions

    def replay_of(self, dump: Path) -> Replay:
        """The same on the tensors of another sample, network inputs included, from the same place as the reference.

        Names that were recognised by values are not recognised again: those values were another sample's.
        """
        graph = self.model.graph
        how = replace(self.how, match_by_values=False)
        return Replay(graph, open_dump(dump, how, Session(graph), self.model, {}))

    def find(self, layer: str) -> list[TensorResult]:
        """The results of a layer or tensor."""
        return find_tensors(self.net, layer)


def find_tensors(net: StageResult, layer: str) -> list[TensorResult]:
    """The results of a layer or tensor; network outputs only if nothing else has the name."""
    found = [t for t in net.tensors if layer in (t.name, t.layer)]
    return [t for t in found if t.role != "output"] or found


def unknown_layer(result: Result, layer: str) -> UsageError:
    """The error for a layer that no stage of a result has."""
    names = [t.layer or t.name for n in result.nets for t in n.tensors]
    return UsageError(f"the result has no layer '{layer}'; it has {', '.join(names[:8])}{' ...' * (len(names) > 8)}")


def stored_stages(result: Result, layer: str | None = None) -> Iterator[StoredStage]:
    """The stages of a result (those with a layer of this name), opened when they are asked for.

    Raises UsageError for results that are not of a verification, DataError if the files are no longer those of the
    result, UnsupportedError for command streams.
    """
    directory = result.sources.get("context_dir")
    if not directory:
        raise UsageError("the result does not say which context directory it is of; run `bittrue verify --json` again")
    context = ContextDir.open(directory)
    _check_inputs(result, context, str(directory))
    for position, stage in enumerate(context.model.stages()):
        net = next((n for n in result.nets if (n.name, n.stage) == (str(stage.net.name), stage.stage_index)), None)
        if net is None or (layer is not None and not find_tensors(net, layer)):
            continue
        if stage_kind(stage.stage) != "bittrue":
            raise UnsupportedError(
                f"{directory}: network '{net.name}' stage {net.stage} is a command stream: its layers cannot be "
                "simulated alone; compare a trace with `bittrue verify --reference`"
            )
        compiled = read_compiled(stage.stage)
        model = from_sections(compiled.sections, compiled.coefficients)
        change_arithmetic(model.graph, model.target, result.sources.get("profile"), result.sources.get("arith"))
        inputs = context.inputs[position]
        layers: Mapping[str, Array] = context.layers
        how = DumpOptions.from_record(result.sources.get("dump") or {})
        if source := result.sources.get("layer_reference"):
            layers = open_dump(Path(source), how, Session(model.graph), model, inputs)
        parts = (inputs, layers, context.outputs[position])
        known = ChainMap(*(cast(dict[str, Array], p) for p in parts))
        yield StoredStage(net, model, Replay(model.graph, known), how)


def _check_inputs(result: Result, context: ContextDir, directory: str) -> None:
    known = {i["name"]: i.get("sha256") for i in result.inputs}
    for inputs in context.inputs:
        for name, array in inputs.items():
            if known.get(name) not in (None, sha256(array)) and len(context.inputs) == 1:
                raise DataError(f"{directory}: input '{name}' is not the one of the result (SHA-256 differs)")
