"""One run of the tester: load, then for every loop, network and stage run, print and compare."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.containers.bmodel import StageRef
from bittrue.containers.bmodel_codes import array_dtype
from bittrue.containers.build import IoTensor
from bittrue.containers.refdata import to_bytes
from bittrue.devices.bm1684.session import InstructionSession
from bittrue.errors import BittrueError
from bittrue.runtime.session import Session
from bittrue.vendor.sophgo.bmrt import debug_files
from bittrue.vendor.sophgo.bmrt.log import DEBUG, WARNING, WRONG, ExitError, Log, shape_text
from bittrue.vendor.sophgo.bmrt.model import (
    REFUSED,
    Loader,
    Net,
    open_stage,
    read_tensors,
    seek_net,
    skip_stages,
    stage_io,
)
from bittrue.vendor.sophgo.bmrt.options import Options, parse
from bittrue.vendor.sophgo.bmrt.rule import compare
from bittrue.verify.policy import EXACT, TensorFacts
from bittrue.verify.verdict import PASSING, judge_pair

Array = np.ndarray[Any, Any]
IGNORED_VARIABLES = (
    "BMRUNTIME_USING_INNER_FIRMWARE", "BMRUNTIME_USING_FIRMWARE", "BMRUNTIME_FIRMWARE_PATH",
    "BMRUNTIME_NEURON_HEAP_MASK", "BMRUNTIME_USING_FAST_ALLREDUCE", "BM_CPU_LAYER_NUM_THREAD",
    "TPUKERNEL_FIRMWARE_PATH", "CMODEL_GLOBAL_MEM_SIZE",
)  # fmt: skip
TIMES = ("load input time(s)", "pre alloc  time(s)", "calculate  time(s)", "get output time(s)", "compare    time(s)")


def main(arguments: Sequence[str]) -> int:
    """Runs the tester; returns its exit code."""
    log = Log()
    loader: Loader | None = None
    try:
        options = parse(arguments, log)
        for name in IGNORED_VARIABLES:
            if name in os.environ:
                log.line("bittrue:0", DEBUG, f"{name} has no effect here")
        log.info("deal_with_options:1634", f"Loop num: {options.loops}")
        loader = Loader(options, log)
        nets = loader.load()
        Tester(options, log, nets).run()
    except ExitError as stop:
        return stop.code
    finally:
        if loader is not None:
            loader.close()
    return 0


class Tester:
    """Runs the stages that the options select."""

    def __init__(self, options: Options, log: Log, nets: list[Net]) -> None:
        self.options, self.log, self.nets = options, log, nets
        self.compared = 0

    def run(self) -> None:
        """All loops. Raises ExitError at the first failure."""
        o = self.options
        if o.net >= len(self.nets):
            self.log.fatal("fseek_ref_file_to_net:640", f"net #{o.net} cannot be found!")
        if o.test_case and o.test_case != "bmrt_multi_thread":
            text = f"test case {o.test_case}: the API variant is not exercised here, the plain test runs"
            self.log.line("bittrue:0", WARNING, text)
        for loop in range(o.loops):
            for net in self.nets if o.net < 0 else [self.nets[o.net]]:
                self._net(net, loop)
        if not self.compared:
            self.log.remark("nothing was compared")
        if o.compare:
            self._surplus()

    def _surplus(self) -> None:
        if self.options.net >= 0 or self.options.stage >= 0 or self.options.shapes:
            return
        for folder in dict.fromkeys(id(n.folder) for n in self.nets):
            found = next(n.folder for n in self.nets if id(n.folder) == folder)
            for name, file in (("input", found.inputs), ("output", found.expected)):
                if file is not None and (left := len(file.read())):
                    self.log.remark(f"{found.label}: {left} surplus bytes in the {name} reference data")

    def _net(self, net: Net, loop: int) -> None:
        o = self.options
        seek_net(net, self.nets)
        self.log.info("bmrt_test:888", f"==> running network #{net.index}, name: {net.name}, loop: {loop}")
        if o.stage >= len(net.stages):
            self.log.info("bmrt_test:900", f"network #{net.index} is passed, because it hasn't stage idx {o.stage}")
            return
        for ref in net.stages:
            if o.stage >= 0 and ref.stage_index != o.stage:
                skip_stages(net.folder, [ref])
                continue
            self._stage(net, ref, loop)
            if o.shapes:
                return

    def _stage(self, net: Net, ref: StageRef, loop: int) -> None:
        o, log, folder = self.options, self.log, net.folder
        clock = [time.perf_counter()]
        ref = self._by_shape(net, ref)
        inputs, outputs = stage_io(ref)
        if refused := next((t for t in [*inputs, *outputs] if t.dtype in REFUSED), None):
            log.fatal("bmrt_test:1047", f"not support dtype {refused.dtype} of tensor '{refused.name}'")
        feeds = self._read_inputs(net, inputs)
        clock.append(time.perf_counter())
        try:
            sessions = [open_stage(folder.model, ref) for _ in range(o.threads if self._threaded else 1)]
            clock.append(time.perf_counter())
            memories = self._launch(sessions, feeds)
        except BittrueError as e:
            log.line("bmrt_launch:700", WRONG, str(e))
            text = f"The {net.index}-th neuron network '{net.name}' stage '{ref.stage_index}' launch failed"
            log.fatal("bmrt_launch_tensor:782", text)
        clock.append(time.perf_counter())
        self._export(net, ref, loop, inputs, feeds, outputs, memories[0], sessions[0])
        expected = self._read_outputs(net, outputs)
        total = int((clock[3] - clock[2]) * 1e6)
        log.info(
            "bmrt_test:1138",
            f"net[{net.name}] stage[{ref.stage_index}], launch total time is {total} us (npu 0 us, cpu {total} us), "
            f"(launch func time 0 us, sync {total} us)",
        )
        self._show(net, ref, outputs, memories[0])
        clock.append(time.perf_counter())
        if o.compare:
            self._compare(net, ref, outputs, expected, memories)
        clock.append(time.perf_counter())
        spans = (
            clock[1] - clock[0],
            clock[2] - clock[1],
            clock[3] - clock[2],
            clock[4] - clock[3],
            clock[5] - clock[4],
        )
        for line, (name, seconds) in enumerate(zip(TIMES, spans, strict=True), start=1208):
            log.info(f"bmrt_test:{line}", f"{name}: {seconds:f}")

    def _by_shape(self, net: Net, ref: StageRef) -> StageRef:
        """The stage whose inputs (and outputs) have the shapes of the options."""
        o = self.options
        if not o.shapes and not o.output_shapes:
            return ref
        for candidate in net.stages:
            inputs, outputs = stage_io(candidate)
            fits = all(t.shape == s for t, s in zip(inputs, o.shapes, strict=False)) and len(o.shapes) <= len(inputs)
            if fits and all(t.shape == s for t, s in zip(outputs, o.output_shapes, strict=False)):
                return candidate
        self.log.line("bmrt_launch_tensor:770", WRONG, "Shapes of the input tensors are not supported")
        text = f"The {net.index}-th neuron network '{net.name}' stage '{ref.stage_index}' launch failed"
        self.log.fatal("bmrt_launch_tensor:782", text)

    @property
    def _threaded(self) -> bool:
        return self.options.test_case in ("", "bmrt_multi_thread") and self.options.threads > 1

    def _read_inputs(self, net: Net, tensors: list[IoTensor]) -> dict[str, Array]:
        file = net.folder.inputs
        values: dict[str, Array] = {}
        for k, t in enumerate(tensors):
            if file is None:
                values[t.name] = np.zeros(t.shape, array_dtype(t.dtype))
                continue
            self.log.info("bmrt_test:944", f"reading input #{k}, bytesize={t.bytes}")
            values |= read_tensors(file, [t], net.index, self.log)
            self.log.values("  --> input_data: ", values[t.name])
        return values

    def _read_outputs(self, net: Net, tensors: list[IoTensor]) -> dict[str, Array]:
        file = net.folder.expected
        values: dict[str, Array] = {}
        for k, t in enumerate(tensors if file is not None else []):
            assert file is not None
            self.log.info("bmrt_test:1089", f"reading output #{k}, bytesize={t.bytes}")
            values |= read_tensors(file, [t], net.index, self.log)
            self.log.values("  --> output ref_data: ", values[t.name])
        return values

    def _launch(
        self, sessions: Sequence[Session | InstructionSession], feeds: Mapping[str, Array]
    ) -> list[dict[str, Array]]:
        """The outputs of every repetition (and thread)."""
        if len(sessions) > 1:
            with ThreadPoolExecutor(len(sessions)) as pool:
                results = list(pool.map(lambda s: s.run(feeds).outputs, sessions))
            return [dict(r) for r in results]
        results = [sessions[0].run(feeds).outputs for _ in range(max(1, self.options.repetitions))]
        return [dict(results[-1])] if "only_cmp_last" in self.options.flags else [dict(r) for r in results]

    def _export(
        self,
        net: Net,
        ref: StageRef,
        loop: int,
        inputs: list[IoTensor],
        feeds: Mapping[str, Array],
        outputs: list[IoTensor],
        results: Mapping[str, Array],
        session: Session | InstructionSession,
    ) -> None:
        if net.folder.output is not None and loop == 0:
            first = net.index == min(n.index for n in self.nets if n.folder is net.folder) and ref.stage_index == 0
            with net.folder.output.open("wb" if first else "ab") as f:
                f.write(b"".join(to_bytes(t, results[t.name]) for t in outputs))
        if os.environ.get("BMRT_SAVE_IO_TENSORS", "0").strip() not in ("", "0"):
            debug_files.save_io(inputs, feeds, outputs, results)
        if "debug_output" in self.options.flags:
            for k, t in enumerate(inputs):
                debug_files.write_text(f"input_ref_{k}", t, feeds[t.name])
            for k, t in enumerate(outputs):
                debug_files.write_text(f"output_0_{k}", t, results[t.name])
        if "export_neuron" in self.options.flags:
            if isinstance(session, InstructionSession):
                stage = ref.stage
                size = stage.ctx_size or sum(stage.ctx_sizes or [])
                path = Path(net.folder.label) / f"neuron_mem_net{net.index}_{ref.stage_index}.dat"
                path.write_bytes(session.machine.read(stage.ctx_addr, size).tobytes())
            else:
                self.log.remark("--export_neuron: this stage has no device memory, nothing is written")

    def _show(self, net: Net, ref: StageRef, outputs: list[IoTensor], results: Mapping[str, Array]) -> None:
        text = f"+++ The network[{net.name}] stage[{ref.stage_index}] output_data +++"
        self.log.info("bmrt_test:1146", text)
        for k, t in enumerate(outputs):
            self.log.values(f"output data #{k} shape: {shape_text(t.shape)} ", results[t.name])

    def _compare(
        self,
        net: Net,
        ref: StageRef,
        outputs: list[IoTensor],
        expected: Mapping[str, Array],
        memories: list[dict[str, Array]],
    ) -> None:
        log, passed = self.log, True
        log.info("bmrt_test:1160", "==>comparing output in mem #0 ... ")
        self.compared += len(outputs)
        for k, t in enumerate(outputs):
            if "debug_output" in self.options.flags:
                debug_files.write_text(f"output_ref_{k}", t, expected[t.name])
                debug_files.write_values(f"output_{k}", memories[0][t.name])
                debug_files.write_values(f"ref_{k}", expected[t.name])
            if not self._compare_tensor(t, expected[t.name], memories[0][t.name]):
                log.line("result_cmp_inner:440", WRONG, f"comparing #{k} output failed!")
                passed = False
        if len(memories) > 1:
            log.info("bmrt_test:1165", "==> comparing multiple mems ... ")
            passed = self._compare_memories(outputs, memories) and passed
        name = f"+++ The network[{net.name}] stage[{ref.stage_index}] cmp"
        if passed:
            log.info("bmrt_test:1193", f"{name} success +++")
            return
        self._trace(net)
        log.fatal("bmrt_test:1196", f"{name} failed +++")

    def _compare_tensor(self, tensor: IoTensor, expected: Array, got: Array) -> bool:
        o = self.options
        if "strict" in o.flags:
            facts = TensorFacts(name=tensor.name, dtype=expected.dtype.name, role="output")
            verdict, metrics = judge_pair(expected, got.reshape(expected.shape), facts, EXACT)
            if verdict.word not in PASSING:
                text = f"{tensor.name}: {verdict.word}, {metrics.n_bad} of {metrics.n} elements differ {verdict.detail}"
                self.log.line("bittrue:0", WRONG, text.rstrip())
            return verdict.word in PASSING
        result = compare(expected, got, o.accuracy_f, o.accuracy_i)
        for where, text in result.lines:
            self.log.line(where, WRONG, text)
        for text in result.wrongly_passed:
            self.log.remark(text)
        return result.passed

    def _compare_memories(self, outputs: list[IoTensor], memories: list[dict[str, Array]]) -> bool:
        passed = True
        for index, memory in enumerate(memories[1:], start=1):
            different = [k for k, t in enumerate(outputs) if memory[t.name].tobytes() != memories[0][t.name].tobytes()]
            for k in different:
                debug_files.write_values(f"mem{index}_output{k}", memory[outputs[k].name])
            if different:
                self.log.line("bmrt_test:1182", WARNING, f"mem_idx={index} compare failed with mem 0!")
                passed = False
        return passed

    def _trace(self, failed: Net) -> None:
        """What the tester prints on stderr after a failed comparison: are the coefficients still what they were."""
        log, errors = self.log, 0
        log.trace("*** bmruntime trace: ***")
        log.trace("============ check coeff =============")
        seen = set()
        for net in self.nets:
            for ref in net.stages:
                coeff = ref.stage.coeff_mem
                if coeff is None or coeff.binary_coeff is None or coeff.address in seen:
                    continue
                seen.add(coeff.address)
                stored = bytes(coeff.check_code or b"").ljust(4, b"\0")
                wrong = hashlib.sha256(coeff.binary_coeff.data or b"").digest() != bytes(coeff.check_code or b"")
                errors += wrong
                log.trace(
                    f"Coeff, chip[0], SHA[{stored[:4].hex().upper()}], addr[0x{coeff.address:x}], "
                    f"size[0x{coeff.binary_coeff.size:x}]{', Check:**FAILED**' if wrong else ''}"
                )
        for ref in failed.stages:
            log.trace(f"============ check net[{failed.name}] stage[{ref.stage_index}] =======")
            log.trace("================")
        log.trace(f"Total {errors} errors")
