"""One run of the tester: load, then for every loop, network and stage run, print and compare."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import numpy as np

from bittrue.containers.bmodel import StageRef
from bittrue.containers.bmodel_codes import array_dtype
from bittrue.containers.build import IoTensor, stage_dynamic
from bittrue.containers.flat import Table
from bittrue.containers.refdata import to_bytes
from bittrue.containers.stage_select import select_stage
from bittrue.devices.bm1684.session import InstructionSession
from bittrue.errors import BittrueError, DataError
from bittrue.model_files import graph_io
from bittrue.quantize.model import QuantizedModel
from bittrue.runtime.session import Session
from bittrue.vendor.sophgo.bmrt import debug_files
from bittrue.vendor.sophgo.bmrt.comparison import stage_passes
from bittrue.vendor.sophgo.bmrt.log import DEBUG, FAILED, FATAL, OWN, WARNING, WRONG, ExitError, Log
from bittrue.vendor.sophgo.bmrt.model import Loader, Net, bytes_left, read_tensors, stage_io
from bittrue.vendor.sophgo.bmrt.numbers import atoi, shape_text
from bittrue.vendor.sophgo.bmrt.options import Options, parse
from bittrue.vendor.sophgo.bmrt.timing import LaunchTimes
from bittrue.vendor.sophgo.bmrt.trace import print_trace
from bittrue.verify.stages import open_stage

Array = np.ndarray[Any, Any]
IGNORED_VARIABLES = (
    "BMRUNTIME_USING_INNER_FIRMWARE", "BMRUNTIME_USING_FIRMWARE", "BMRUNTIME_FIRMWARE_PATH",
    "BMRUNTIME_NEURON_HEAP_MASK", "BMRUNTIME_USING_FAST_ALLREDUCE", "BM_CPU_LAYER_NUM_THREAD",
    "TPUKERNEL_FIRMWARE_PATH", "CMODEL_GLOBAL_MEM_SIZE",
)  # fmt: skip
TIMES = ("load input time(s)", "pre alloc  time(s)", "calculate  time(s)", "get output time(s)", "compare    time(s)")
REFUSED = ("int4", "uint4")  # the tester aborts on these
HIGHEST_PRIORITY = -20


def main(arguments: Sequence[str]) -> int:
    """Runs the tester; returns its exit code."""
    log = Log()
    loader: Loader | None = None
    try:
        options = parse(arguments, log)
        for name in IGNORED_VARIABLES:
            if name in os.environ:
                log.line(OWN, DEBUG, f"{name} has no effect here")
        log.info("deal_with_options:1634", f"Loop num: {options.loops}")
        with highest_priority(log):
            loader = Loader(options, log)
            Tester(options, log, loader.load()).run()
    except ExitError as stop:
        return stop.code
    except (BittrueError, OSError) as e:
        log.line(OWN, FATAL, str(e))
        return FAILED
    finally:
        if loader is not None:
            loader.close()
    return FAILED if log.refused else 0


@contextmanager
def highest_priority(log: Log) -> Iterator[None]:
    """The tester asks for the highest priority; here it is given back at the end."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    try:
        os.setpriority(os.PRIO_PROCESS, 0, HIGHEST_PRIORITY)
    except OSError:
        log.line("bmrt_test:806", WARNING, "setpriority failed, cpu time might flutuate.")
    try:
        yield
    finally:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, before)


class Tester:
    """Runs the stages that the options select."""

    def __init__(self, options: Options, log: Log, nets: list[Net]) -> None:
        self.options, self.log, self.nets = options, log, nets
        self.times = LaunchTimes()
        self.opened: tuple[StageRef, list[Session | InstructionSession]] | None = None
        self.lowered: tuple[Table, QuantizedModel] | None = (
            None  # the last dynamic stage, for the shapes of the options
        )
        self.compared = 0

    def run(self) -> None:
        """All loops. Raises ExitError at the first failure."""
        o = self.options
        if o.net >= len(self.nets):
            self.log.fatal("fseek_ref_file_to_net:640", f"net #{o.net} cannot be found!")
        if o.test_case and o.test_case != "bmrt_multi_thread":
            text = f"test case {o.test_case}: the API variant is not exercised here, the plain test runs"
            self.log.line(OWN, WARNING, text)
        try:
            for loop in range(o.loops):
                for net in self.nets if o.net < 0 else [self.nets[o.net]]:
                    self._net(net, loop)
        finally:
            self.times.write()
        if not self.compared:
            self.log.remark("nothing was compared")
        if o.compare and o.net < 0 and o.stage < 0 and not o.shapes:
            self._surplus()

    def _surplus(self) -> None:
        """After a run over everything, the files stand behind what was read of them."""
        for folder in {id(n.folder): n.folder for n in self.nets}.values():
            for name, file in (("input", folder.inputs), ("output", folder.expected)):
                if file is not None and (left := bytes_left(file)):
                    self.log.remark(f"{folder.path}: {left} surplus bytes in the {name} reference data")

    def _net(self, net: Net, loop: int) -> None:
        o = self.options
        net.folder.seek(net.position)
        self.log.info("bmrt_test:888", f"==> running network #{net.index}, name: {net.name}, loop: {loop}")
        if o.stage >= len(net.stages):
            self.log.info("bmrt_test:900", f"network #{net.index} is passed, because it hasn't stage idx {o.stage}")
            return
        for ref in net.stages:
            if o.stage >= 0 and ref.stage_index != o.stage:
                net.folder.skip([ref])
                continue
            self._stage(net, ref, loop)
            if o.shapes:
                return

    def _stage(self, net: Net, ref: StageRef, loop: int) -> None:
        log = self.log
        label = f"[{net.name}] stage[{ref.stage_index}]"
        clock = [time.perf_counter()]
        ref = self._by_shape(net, ref)
        try:
            model = self._resized(ref)
        except BittrueError as e:
            log.line(OWN, WRONG, str(e))
            self._launch_failed(net, ref)
        inputs, outputs = graph_io(model) if model else stage_io(ref)
        self._check_output_shapes(net, ref, outputs)
        if refused := next((t for t in [*inputs, *outputs] if t.dtype in REFUSED), None):
            log.fatal(OWN, f"not support dtype {refused.dtype} of tensor '{refused.name}'")
        feeds = self._read_inputs(net, inputs)
        clock.append(time.perf_counter())
        try:
            sessions = self._open(net, ref, model)
            clock.append(time.perf_counter())
            memories = self._launch(sessions, feeds)
        except BittrueError as e:
            log.line(OWN, WRONG, str(e))
            self._launch_failed(net, ref)
        clock.append(time.perf_counter())
        seconds = clock[3] - clock[2]
        self.times.add(net.name, ref.stage_index, loop, seconds, sessions[0])
        if net.folder.output is not None and loop == 0:
            net.folder.output.write(b"".join(to_bytes(t, memories[0][t.name]) for t in outputs))
        self._write_files(net, ref, inputs, feeds, outputs, memories, sessions[0])
        expected = self._read_outputs(net, outputs)
        total = int(seconds * 1e6)
        log.info(
            "bmrt_test:1138",
            f"net{label}, launch total time is {total} us (npu 0 us, cpu {total} us), "
            f"(launch func time 0 us, sync {total} us)",
        )
        log.info("bmrt_test:1146", f"+++ The network{label} output_data +++")
        for k, t in enumerate(outputs):
            log.values(f"output data #{k} shape: [{shape_text(t.shape)}] ", memories[0][t.name])
        clock.append(time.perf_counter())
        if self.options.compare:
            self.compared += len(outputs)
            if not stage_passes(self.options, log, outputs, expected, memories):
                print_trace(self.nets, log)
                log.fatal("bmrt_test:1196", f"+++ The network{label} cmp failed +++")
            log.info("bmrt_test:1193", f"+++ The network{label} cmp success +++")
        clock.append(time.perf_counter())
        for line, name in enumerate(TIMES):
            log.info(f"bmrt_test:{1208 + line}", f"{name}: {clock[line + 1] - clock[line]:f}")

    def _by_shape(self, net: Net, ref: StageRef) -> StageRef:
        """The stage for the shapes of the options, chosen as the vendor's runtime does."""
        if not self.options.shapes:
            return ref
        try:
            ref = net.stages[select_stage(ref.net, self._shapes(ref))]
        except DataError:
            self._shapes_refused(net, ref)
        own = [t.shape for t in stage_io(ref)[0]]
        fits = len(self.options.shapes) <= len(own) and all(
            math.prod(mine) == math.prod(given) for mine, given in zip(own, self._shapes(ref), strict=True)
        )
        if not fits and not stage_dynamic(ref.stage):
            self._shapes_refused(net, ref)
        return ref

    def _shapes(self, ref: StageRef) -> list[tuple[int, ...]]:
        """Shapes of all inputs: those of the options, then the stage's own."""
        own = [t.shape for t in stage_io(ref)[0]]
        return [*self.options.shapes, *own[len(self.options.shapes) :]]

    def _resized(self, ref: StageRef) -> QuantizedModel | None:
        """A dynamic stage lowered for the shapes of the options; None where it runs as it is."""
        shapes = self._shapes(ref)
        if not stage_dynamic(ref.stage) or shapes == [t.shape for t in stage_io(ref)[0]]:
            return None
        from bittrue.vendor.sophgo.compilers.dynamic import (
            resized,
        )  # loads all frontends, which others need not wait for

        if self.lowered is None or self.lowered[0] is not ref.stage:
            self.lowered = ref.stage, resized(ref, shapes)
        return self.lowered[1]

    def _check_output_shapes(self, net: Net, ref: StageRef, outputs: list[IoTensor]) -> None:
        given = self.options.output_shapes
        sizes = zip(given, outputs, strict=False)
        if len(given) > len(outputs) or any(math.prod(s) != math.prod(t.shape) for s, t in sizes):
            self._shapes_refused(net, ref)

    def _shapes_refused(self, net: Net, ref: StageRef) -> NoReturn:
        self.log.line("bmrt_launch_tensor:770", WRONG, "Shapes of the input tensors are not supported")
        self._launch_failed(net, ref)

    def _launch_failed(self, net: Net, ref: StageRef) -> NoReturn:
        text = f"The {net.index}-th neuron network '{net.name}' stage '{ref.stage_index}' launch failed"
        self.log.fatal("bmrt_launch_tensor:782", text)

    def _open(self, net: Net, ref: StageRef, model: QuantizedModel | None) -> list[Session | InstructionSession]:
        """One session a thread; those of the last stage stay open, so that loops over it do not load it again."""
        if self.opened is None or self.opened[0].stage is not ref.stage:
            threads = self.options.threads if self.options.test_case in ("", "bmrt_multi_thread") else 1
            self.opened = None  # its memory is free before the next is taken
            sessions = [Session(model.graph) if model else open_stage(net.folder.model, ref) for _ in range(threads)]
            self.opened = ref, sessions
        return self.opened[1]

    def _read_inputs(self, net: Net, tensors: list[IoTensor]) -> dict[str, Array]:
        if net.folder.inputs is None:
            return {t.name: np.zeros(t.shape, array_dtype(t.dtype)) for t in tensors}
        values: dict[str, Array] = {}
        for k, t in enumerate(tensors):
            self.log.info("bmrt_test:944", f"reading input #{k}, bytesize={t.bytes}")
            values |= read_tensors(net.folder.inputs, [t], net.index, self.log)
            self.log.values("  --> input_data: ", values[t.name])
        return values

    def _read_outputs(self, net: Net, tensors: list[IoTensor]) -> dict[str, Array]:
        values: dict[str, Array] = {}
        if net.folder.expected is not None:
            for k, t in enumerate(tensors):
                self.log.info("bmrt_test:1089", f"reading output #{k}, bytesize={t.bytes}")
                values |= read_tensors(net.folder.expected, [t], net.index, self.log)
                self.log.values("  --> output ref_data: ", values[t.name])
                if "debug_output" in self.options.flags:
                    debug_files.write_text(f"output_ref_{k}", t, values[t.name])
        return values

    def _launch(
        self, sessions: Sequence[Session | InstructionSession], feeds: Mapping[str, Array]
    ) -> list[dict[str, Array]]:
        """The outputs of every repetition of every thread."""
        kept = 1 if "only_cmp_last" in self.options.flags else max(1, self.options.repetitions)

        def repeat(session: Session | InstructionSession) -> list[dict[str, Array]]:
            results: list[dict[str, Array]] = []
            for _ in range(max(1, self.options.repetitions)):
                results = [*results, session.run(feeds).outputs][-kept:]
            return results

        if len(sessions) == 1:
            return repeat(sessions[0])
        with ThreadPoolExecutor(len(sessions)) as pool:
            return [memory for results in pool.map(repeat, sessions) for memory in results]

    def _write_files(
        self,
        net: Net,
        ref: StageRef,
        inputs: list[IoTensor],
        feeds: Mapping[str, Array],
        outputs: list[IoTensor],
        memories: Sequence[Mapping[str, Array]],
        session: Session | InstructionSession,
    ) -> None:
        """Files that options and environment ask for."""
        flags = self.options.flags
        if atoi(os.environ.get("BMRT_SAVE_IO_TENSORS", "")):
            debug_files.save_io(inputs, feeds, outputs, memories[0])
        if "debug_output" in flags:
            for k, t in enumerate(inputs):
                debug_files.write_text(f"input_ref_{k}", t, feeds[t.name])
            for k, t in enumerate(outputs):
                for index, memory in enumerate(memories):
                    debug_files.write_text(f"output_{index}_{k}", t, memory[t.name])
        if "export_neuron" in flags and isinstance(session, InstructionSession):
            size = ref.stage.ctx_size or sum(ref.stage.ctx_sizes or [])
            path = net.folder.path / f"neuron_mem_net{net.index}_{ref.stage_index}.dat"
            path.write_bytes(session.machine.read(ref.stage.ctx_addr, size).tobytes())
        elif "export_neuron" in flags:
            self.log.line(OWN, WARNING, "--export_neuron: this stage has no device memory, nothing is written")
