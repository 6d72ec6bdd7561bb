"""What golden data is made from: a stage that runs, a quantized graph or a compiled command stream."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bittrue import api
from bittrue.containers.archive import open_archive
from bittrue.containers.build import stage_kind
from bittrue.containers.context_dir import MODEL, ContextDir
from bittrue.devices.bm1684.session import InstructionSession
from bittrue.devices.bm1684.trace import COMMANDS, TraceWriter
from bittrue.errors import UsageError
from bittrue.quantize.model import QuantizedModel
from bittrue.report.result import evidence_counts
from bittrue.runtime.session import Session

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Origin:
    """Which stage of which file, and the user's changes of the target's rules."""

    source: Path
    net: str | None = None
    stage: int = 0
    profile: Path | None = None
    arith: Mapping[str, str] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        """The compiled model."""
        return self.source / MODEL if self.source.is_dir() else self.source

    def reference_inputs(self) -> dict[str, Array]:
        """The stage's inputs in a context directory. Raises UsageError for single files."""
        if not self.source.is_dir():
            raise UsageError(f"{self.source}: --input is needed; only a context directory has inputs of its own")
        context = ContextDir.open(self.source)
        _, ref = api.find_stage(self.source, net=self.net, stage=self.stage)
        keys = [io.key for io in context.io]
        return context.inputs[keys.index((ref.net_index, ref.stage_index))]


@dataclass(frozen=True)
class Snapshot:
    """What a run computed. layers: in execution order; ops: layer tensor -> (layer, op)."""

    outputs: Mapping[str, Array]
    layers: Mapping[str, Array]
    ops: Mapping[str, tuple[str, str]]


class Subject(ABC):
    """A stage that can run. model: its quantized graph, None for command streams. path: of the kernels."""

    target: str
    precision: str
    arithmetic: Mapping[str, Any]
    evidence: Mapping[str, int]
    path: str
    model: QuantizedModel | None = None

    def __init__(self, origin: Origin) -> None:
        self.origin = origin

    @abstractmethod
    def run(self, inputs: Mapping[str, Array]) -> Snapshot:
        """Raises DataError for inputs that do not fit."""


class GraphSubject(Subject):
    """A quantized graph; its layers are the outputs of all nodes."""

    def __init__(self, origin: Origin, model: QuantizedModel) -> None:
        super().__init__(origin)
        self.model = model
        self.session = Session(model.graph)
        self.target, self.precision, self.arithmetic = model.target, model.precision, model.arithmetic
        self.evidence = evidence_counts([str(n.attrs.get("evidence", "")) for n in model.graph.nodes])
        self.path = self.session.path

    def run(self, inputs: Mapping[str, Array]) -> Snapshot:
        graph = self.session.graph
        run = self.session.run(inputs, trace=[n for n in graph.activations() if n not in graph.inputs])
        return Snapshot(run.outputs, run.trace, {o: (n.name, n.op) for n in graph.nodes for o in n.outputs})


class StreamSubject(Subject):
    """A compiled command stream; its layers are the tensors that it writes to device memory, named by command."""

    def __init__(self, origin: Origin, session: InstructionSession) -> None:
        super().__init__(origin)
        self.session = session
        self.target, self.precision, self.arithmetic = "bm1684", "compiled command streams", {}
        assumed = len(session.assumptions())
        measured = sum(len(g.order) for g in session.groups) - assumed
        self.evidence = {word: n for word, n in (("measured", measured), ("assumed", assumed)) if n}
        self.path = session.path

    def run(self, inputs: Mapping[str, Array]) -> Snapshot:
        with tempfile.TemporaryDirectory() as folder:
            trace = Path(folder) / "trace.npz"
            with TraceWriter(trace, "dma") as writer:
                outputs = self.session.run(inputs, writer.record).outputs
            archive = open_archive(trace)
            layers = {name: archive[name] for name in archive if name != COMMANDS}
        return Snapshot(outputs, layers, {})


def open_subject(origin: Origin) -> Subject:
    """Raises what `api.load` and `api.apply_profile` raise, UsageError for changed rules of a command stream."""
    if origin.source.suffix.lower() not in (".onnx", ".tflite"):
        container, ref = api.find_stage(origin.source, net=origin.net, stage=origin.stage)
        if stage_kind(ref.stage) == "instructions":
            if origin.profile or origin.arith:
                raise UsageError(f"{origin.source}: a target profile changes graphs; this is a command stream")
            return StreamSubject(origin, InstructionSession(container, ref))
    model = api.load(origin.source, net=origin.net, stage=origin.stage)
    api.apply_profile(model, origin.profile, origin.arith)
    return GraphSubject(origin, model)
