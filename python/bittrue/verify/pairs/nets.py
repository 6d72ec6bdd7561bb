"""Stages of compiled models, opened for a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.compiler import from_sections
from bittrue.containers.bmodel import Bmodel, StageRef, check_codes, read_bmodel
from bittrue.containers.build import IoTensor, read_compiled, stage_kind
from bittrue.containers.context_dir import INPUTS, ContextDir
from bittrue.containers.flat import binaries
from bittrue.containers.refdata import model_io
from bittrue.devices.bm1684.session import InstructionSession
from bittrue.errors import DataError, UnsupportedError
from bittrue.model_files import load, reference_feeds
from bittrue.quantize.model import QuantizedModel
from bittrue.runtime.session import Session
from bittrue.verify.names import Grid
from bittrue.verify.pairs.options import CompareOptions

Array = np.ndarray[Any, Any]


@dataclass
class CompiledNet:
    """One stage. model: None for command streams. blobs: constants by name, or what a command stream is made of.
    reference: inputs that the context directory has for it."""

    net: str
    stage: int
    kind: str
    inputs: list[IoTensor]
    outputs: list[IoTensor]
    model: QuantizedModel | None = None
    blobs: Mapping[str, Array] = field(default_factory=dict)
    reference: Mapping[str, Array] | None = None
    source: tuple[Bmodel, StageRef] | None = None

    def run(self, inputs: Mapping[str, Array], options: CompareOptions) -> dict[str, Array]:
        """Outputs, and of graphs all layers. Raises what the sessions raise."""
        if self.model is not None:
            return Session(self.model.graph, path=options.path, threads=options.threads).run(inputs, trace=True).trace
        if self.source is None or self.kind != "instructions":
            raise UnsupportedError(f"network '{self.net}' stage {self.stage}: {self.kind.replace('_', ' ')}")
        return InstructionSession(*self.source, path=options.path, threads=options.threads).run(inputs).outputs

    def feeds(self, given: Mapping[str, Array]) -> Mapping[str, Array]:
        """Inputs of an archive as this network takes them. Raises DataError for a missing one."""
        names = [io.name for io in self.inputs]
        if missing := [n for n in names if n not in given]:
            raise DataError(f"the inputs have no '{missing[0]}'; network '{self.net}' takes {', '.join(names)}")
        return reference_feeds(self.model, given) if self.model else {n: given[n] for n in names}

    def grids(self) -> dict[str, Grid]:
        """Grids of its integer tensors."""
        if self.model is not None:
            records = {n: (q.dtype, q.scale, q.zero_point) for n, q in self.model.tensors.items()}
        else:
            records = {io.name: (io.dtype, io.scale, io.zero_point) for io in [*self.inputs, *self.outputs]}
        return {n: Grid(scale=s, zero_point=z) for n, (d, s, z) in records.items() if "int" in d and s > 0}


def open_nets(path: Path) -> list[CompiledNet]:
    """Every stage of a context directory, a .bmodel, a quantized .onnx or .tflite. Raises DataError."""
    if path.suffix.lower() in (".onnx", ".tflite"):
        model = load(path)
        graph = model.graph
        inputs, outputs = (
            [IoTensor(n, graph.types[n].dtype, graph.types[n].shape) for n in names]
            for names in (graph.inputs, graph.outputs)
        )
        return [CompiledNet(graph.name, 0, "bittrue", inputs, outputs, model, graph.constants)]
    context = ContextDir.open(path) if path.is_dir() else None
    bmodel = context.model if context else read_bmodel(path)
    if stale := check_codes(bmodel):
        raise DataError(f"{path}: {stale[0]}")
    references = context.inputs if context and (path / INPUTS).is_file() else None
    nets = []
    for k, (ref, io) in enumerate(zip(bmodel.stages(), model_io(bmodel), strict=True)):
        kind, quantized = stage_kind(ref.stage), None
        blobs: Mapping[str, Array] = {n: np.frombuffer(bytes(b.data or b""), np.uint8) for n, b in binaries(ref.stage)}
        if kind == "bittrue":
            compiled = read_compiled(ref.stage)
            quantized = from_sections(compiled.sections, compiled.coefficients)
            blobs = quantized.graph.constants
        reference = references[k] if references else None
        name, stage, source = str(ref.net.name), ref.stage_index, (bmodel, ref)
        nets.append(CompiledNet(name, stage, kind, io.inputs, io.outputs, quantized, blobs, reference, source))
    return nets


def dequantized(array: Array, grid: Grid | None) -> Array:
    """Real values of integers on a grid (binary32); other arrays as they are."""
    if grid is None or array.dtype.kind not in "iu":
        return array
    return (array.astype(np.float32) - np.float32(grid.zero_point)) * np.float32(grid.scale)
