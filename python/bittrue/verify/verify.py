"""Simulates a context directory and compares every stage with its reference data, outputs and layers."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.compiler import from_sections
from bittrue.containers.archive import open_archive
from bittrue.containers.bmodel import StageRef, check_codes
from bittrue.containers.build import read_compiled, stage_kind
from bittrue.containers.context_dir import MODEL, ContextDir, file_sha256
from bittrue.devices.bm1684.session import Group, Hook, InstructionSession
from bittrue.devices.bm1684.trace import TraceWriter
from bittrue.errors import DataError, UnsupportedError, UsageError
from bittrue.quantize.model import QuantizedModel
from bittrue.report.result import Result, TensorResult, evidence_counts, new_result
from bittrue.runtime.session import Session
from bittrue.targets.override import change_arithmetic
from bittrue.verify.dump import Dump, DumpOptions, open_dump
from bittrue.verify.explain.run import Explainer
from bittrue.verify.fingerprints import check_dump_inputs, input_records
from bittrue.verify.graph import GraphComparison
from bittrue.verify.matching import TensorCollector, describe, layer_values, match_tensors
from bittrue.verify.policy import EXACT, Policy
from bittrue.verify.stages import Choice, chosen_stages
from bittrue.verify.tensors import compare_tensors_by_name
from bittrue.verify.traces import compare_traces, first_difference

Array = np.ndarray[Any, Any]
ORIGINS = ("model_sha256", "table_sha256", "profile_sha256", "method", "samples")  # what a compiled model was made of
REASONS = {
    "dynamic_ir": "firmware instructions of a dynamic network: not specified publicly",
    "empty": "no commands",
}


@dataclass(frozen=True)
class StreamOptions:
    """What only compiled command streams have.

    trace: .npz to write; trace_level: "dma" (tensors written to device memory) or "commands". reference: an earlier
    trace to compare with, level for level. check_uninitialized: warn of reads of never-written bytes. gdma_first: which
    engine goes on when both could. model: the float or quantized model that the network was compiled from; device
    tensors are matched to its layers by their values.
    """

    trace: Path | None = None
    trace_level: str = "commands"
    reference: Path | None = None
    check_uninitialized: bool = False
    gdma_first: bool = True
    model: Path | None = None

    @property
    def traces(self) -> bool:
        return self.trace is not None or self.reference is not None


@dataclass(frozen=True)
class Options:
    """How a verification is made.

    policy: what may differ. layers: compare every layer the reference has. layer_reference: an archive or folder of
    tensors instead of layers_ref.npz, for instance dumped by a device; dump: how it is read. allow_other_inputs: take
    it although it says that it was made from other network inputs. net_idx, stage_idx: only this one. path, threads: of
    the simulation; the result does not depend on them. profile, arith: a user's changes of the target's rules.
    max_memory: bytes that layer tensors may take at once; the network runs again for every further part. explain: look
    for the cause of the layers that are wrong.
    """

    policy: Policy = EXACT
    layers: bool = True
    layer_reference: Path | None = None
    dump: DumpOptions = field(default_factory=DumpOptions)
    allow_other_inputs: bool = False
    net_idx: int | None = None
    stage_idx: int | None = None
    path: str | None = None
    threads: int | None = None
    profile: Path | None = None
    arith: Mapping[str, str] = field(default_factory=dict)
    max_memory: int = 2 << 30
    explain: bool = True


def verify(directory: Path | str, options: Options | None = None, stream: StreamOptions | None = None) -> Result:
    """Runs every network and stage and reports all of them.

    Raises DataError for missing, broken or inconsistent files (also reference data that is too short or too long, and
    coefficients whose hash is wrong), UsageError for an index out of range, UnsupportedError if a stage is of a kind
    that cannot be simulated.
    """
    options = options or Options()
    if options.dump != DumpOptions() and options.layer_reference is None:
        raise UsageError("a name map, a layout or matching by values is of a dump: give it with --layer_ref")
    stream = stream or StreamOptions()
    context = ContextDir.open(directory)
    stale = check_codes(context.model)
    if stale:
        raise DataError(f"{directory}: {stale[0]}")
    chosen = chosen_stages(context, Choice(options.net_idx, options.stage_idx))
    kinds = [stage_kind(ref.stage) for _, ref in chosen]
    _, first = chosen[0]
    if all(k in REASONS for k in kinds):
        raise UnsupportedError(
            f"{directory}: network '{first.net.name}' stage {first.stage_index}: {REASONS[kinds[0]]}"
        )
    if (stream.traces or stream.model) and kinds != ["instructions"]:
        raise UsageError(
            "a trace or a match is of one compiled command stream; choose it with --net_idx and --stage_idx"
        )
    one_stage = sum(1 for _ in context.model.stages()) == 1
    verifier = _Verifier(context, options, stream, one_stage)
    for (i, ref), kind in zip(chosen, kinds, strict=True):
        if kind in REASONS:
            verifier.result.add_stage(str(ref.net.name), ref.stage_index, [], REASONS[kind])
        elif kind == "instructions":
            verifier.instructions(ref, context.inputs[i], context.outputs[i])
        else:
            verifier.graph(ref, context.inputs[i], context.outputs[i])
    result = verifier.result
    result.model["name"] = str(first.net.name)
    result.model["compiled_sha256"] = file_sha256(context.path / MODEL)
    result.sources = _sources(directory, options)
    result.policy = options.policy.summary()
    if options.layers and not verifier.has_layers:
        result.warnings.append("no layers_ref.npz: only the network outputs were compared")
    if options.layers and verifier.has_layers and not one_stage:
        result.warnings.append("layers_ref.npz was left out: it does not say which of the stages it belongs to")
    constant = [n for o in context.outputs for n, a in o.items() if a.size > 1 and np.all(a == a.flat[0])]
    result.warnings += [f"reference output '{n}' is constant: equality is weak evidence" for n in constant]
    return result


def _sources(directory: Path | str, options: Options) -> dict[str, Any]:
    """What a stored result needs to open again what was compared."""
    sources: dict[str, Any] = {"context_dir": str(directory)}
    if options.layer_reference:
        sources["layer_reference"] = str(options.layer_reference)
        if record := options.dump.record():
            sources["dump"] = record
    if options.profile:
        sources["profile"] = str(options.profile)
    if options.arith:
        sources["arith"] = dict(options.arith)
    return sources


class _Verifier:
    """Adds stages to a result."""

    def __init__(self, context: ContextDir, options: Options, stream: StreamOptions, one_stage: bool) -> None:
        self.context, self.options, self.stream = context, options, stream
        self.has_layers = context.has_layers or options.layer_reference is not None
        self.with_layers = options.layers and self.has_layers and one_stage
        self.result = new_result("verify", name="")
        self._labels: list[str] = []

    def _note(self, session: Session | InstructionSession, inputs: Mapping[str, Array], labels: list[str]) -> None:
        self.result.tool |= {"path": session.path, "threads": session.threads}
        self.result.inputs += input_records(inputs)
        self._labels += labels
        self.result.target["evidence"] = evidence_counts(self._labels)

    def graph(self, ref: StageRef, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> None:
        """A stage compiled by this project."""
        compiled = read_compiled(ref.stage)
        model = from_sections(compiled.sections, compiled.coefficients)
        if changes := change_arithmetic(model.graph, model.target, self.options.profile, self.options.arith):
            self.result.target |= changes
            self.result.warnings.append(f"the arithmetic of {changes['changed_layers']} layers is changed by the user")
        session = Session(model.graph, path=self.options.path, threads=self.options.threads)
        comparison = GraphComparison(model, session, self.options.policy)
        layers = self._layers(model, session, inputs)
        tensors = comparison.compare(inputs, layers, outputs, self.options.max_memory)
        if isinstance(layers, Dump):
            layers.annotate(t for t in tensors if t.role != "output")
        if any(not t.passed for t in tensors):
            replay = comparison.find_origins(tensors, inputs, layers, outputs)
            if self.options.explain:
                Explainer(replay).explain(tensors)
        self.result.add_stage(str(ref.net.name), ref.stage_index, tensors)
        self.result.model |= {k: model.meta[k] for k in ORIGINS if model.meta.get(k)}
        self.result.target |= {"name": model.target, "precision": model.precision, "arithmetic": model.arithmetic}
        self._note(session, inputs, [str(n.attrs.get("evidence", "")) for n in model.graph.nodes])

    def _layers(self, model: QuantizedModel, session: Session, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """The layer tensors to compare with, under the model's names and in its layout."""
        options = self.options
        if not self.with_layers:
            return {}
        if options.layer_reference is None:
            return self.context.layers
        dump = open_dump(options.layer_reference, options.dump, session, model, inputs)
        allowed, where = options.allow_other_inputs, str(options.layer_reference)
        self.result.warnings += dump.warnings + check_dump_inputs(dump.archive, dump, inputs, allowed, where)
        return dump

    def instructions(self, ref: StageRef, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> None:
        """A stage of command streams, compiled by the vendor's tools."""
        options = self.stream
        session = InstructionSession(
            self.context.model,
            ref,
            path=self.options.path,
            threads=self.options.threads,
            gdma_first=options.gdma_first,
            check_uninitialized=options.check_uninitialized,
        )
        tensors: list[TensorResult] = []
        hooks: list[Hook] = []
        collector = TensorCollector()
        if options.model is not None:
            layers = layer_values(options.model, inputs, session.inputs)
            hooks.append(collector.hook)
        with ExitStack() as stack:
            trace = options.trace
            if options.traces:
                trace = trace or Path(stack.enter_context(tempfile.TemporaryDirectory())) / "trace.npz"
                with TraceWriter(trace, options.trace_level) as writer:
                    run = session.run(inputs, _chain([*hooks, writer.record]))
            else:
                run = session.run(inputs, _chain(hooks) if hooks else None)
            if options.reference is not None and trace is not None:
                expected, got = open_archive(options.reference), open_archive(trace)
                tensors = compare_traces(expected, got, self.options.policy)
                if line := first_difference(expected, got, tensors):
                    self.result.warnings.append(line)
        if options.model is not None:
            self.result.matches += describe(match_tensors(collector.tensors, layers))
        evidence = "assumed" if session.assumptions() else "measured"
        tensors += compare_tensors_by_name(
            outputs,
            run.outputs,
            self.options.policy,
            lambda _: {"role": "output", "index": len(tensors), "evidence": evidence},
        )
        self.result.add_stage(str(ref.net.name), ref.stage_index, tensors)
        self.result.target |= {"name": "bm1684", "precision": "compiled command streams"}
        self.result.warnings += [str(read) for read in session.uninitialized]
        assumed = session.assumptions()
        self.result.warnings += [f"{command}: assumed: {what}" for command, what in assumed.items()]
        commands = sum(len(g.order) for g in session.groups)
        self._note(session, inputs, ["measured"] * (commands - len(assumed)) + ["assumed"] * len(assumed))


def _chain(hooks: Sequence[Hook]) -> Hook:
    def every(group: Group, step: int) -> bool:
        return any([hook(group, step) for hook in hooks])

    return every
