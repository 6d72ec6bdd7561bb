"""The command line, by the rules of getopt_long: unique prefixes, `--name value` and `--name=value`, any order."""

from __future__ import annotations

import getopt
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from bittrue import __version__
from bittrue.vendor.sophgo.bmrt.log import ABORTED, FAILED, OWN, WARNING, ExitError, Log
from bittrue.vendor.sophgo.bmrt.numbers import atof, atoi

ACCURACY_F = 0.01
SHORT = "d:i:ht:a:c:pm:l:b:"
SHORT_NAMES = {
    "d": "context_dir", "i": "devid", "h": "help", "t": "test_case", "a": "append_dir", "c": "compare", "p": "profile",
    "m": "mmap", "l": "loopnum", "b": "bmodel_list",
}  # fmt: skip
WITH_VALUE = {
    "context_dir": "DIR: compilation.bmodel, input_ref_data.dat, output_ref_data.dat; repeatable",
    "append_dir": "DIR: one more folder",
    "bmodel_list": "FILE with folders, one token each, # skips",
    "bmodel": "FILE: a model without reference data: zero input, nothing is compared",
    "compare": "0 or 1 (1); 0: zero input, nothing is compared",
    "accuracy_f": "float tolerance (0.01)",
    "accuracy_i": "integer tolerance (0)",
    "loopnum": "outer loops (1)",
    "calculate_times": "repetitions without loading again (1); all must give the same bytes",
    "thread_num": "threads, each runs every stage (1)",
    "net_idx": "only this network",
    "stage_idx": "only this stage of every selected network",
    "shapes": '"[1,3,224,224],[..]" of the inputs',
    "output_shapes": '"[..]" of the outputs',
    "output_ref": "name of the output reference file",
    "prealloc": "accepted, no effect",
    "devid": "device index (0)",
    "cascade_device": "accepted, only one device exists here",
    "core_list": "accepted, only core 0 exists here",
    "mmap": "accepted, no effect",
    "test_case": "name of a test of the vendor's API variants",
    "chip": "the chip that the model must be for (default: the model's own)",
}
FLAGS = {
    "only_cmp_last": "one shared output memory for all repetitions",
    "export_output": "write DIR/output.dat",
    "export_neuron": "write DIR/neuron_mem_net<i>_<stage>.dat",
    "debug_output": "write inputs, outputs and references as text files into the current folder",
    "subnet_time": "accepted, no effect",
    "profile": "accepted, no effect",
    "version": "print the version",
    "help": "this text",
    "strict": "compare exactly, as `bittrue verify` does",
    "quiet-compat": "no remarks where the vendor's rule passes something that is wrong",
}
OURS = {"chip", "strict", "quiet-compat"}  # by full name only: they must not make a vendor prefix ambiguous
TEST_CASES = (
    "bmrt_load_bmodel_data", "bmrt_load_context", "bmrt_launch_data", "bmrt_simple_api", "bmrt_multi_thread",
    "bmrt_get_bmodel_api", "bmrt_get_bmodel_api_c", "bmcpp_load_bmodel", "bmcpp_load_bmodel_data", "bmcpp_reshape",
    "bmcpp_multi_thread", "bmtap2_register_bmodel", "bmtap2_register_data", "bmtap2_multi_thread",
    "bmtap2cpp_load_bmodel", "bmtap2cpp_multi_thread", "bmmc_multi_mession",
)  # fmt: skip


@dataclass
class Options:
    """Values after parsing; see `WITH_VALUE` and `FLAGS` for their meaning. accuracy_f: None unless given."""

    folders: list[str] = field(default_factory=list)
    bmodels: list[str] = field(default_factory=list)
    compare: bool = True
    accuracy_f: float | None = None
    accuracy_i: int = 0
    loops: int = 1
    repetitions: int = 1
    threads: int = 1
    net: int = -1
    stage: int = -1
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    output_shapes: list[tuple[int, ...]] = field(default_factory=list)
    output_ref: str = "output_ref_data.dat"
    device: int = 0
    test_case: str = ""
    chip: str = ""
    flags: set[str] = field(default_factory=set)

    @property
    def delta(self) -> float:
        """The float tolerance in use, a binary32 value."""
        return float(np.float32(ACCURACY_F if self.accuracy_f is None else self.accuracy_f))


def usage() -> str:
    """The text of --help."""
    lines = ["Usage: bmrt_test [options]", ""]
    short = {name: letter for letter, name in SHORT_NAMES.items()}
    for name, text in {**WITH_VALUE, **FLAGS}.items():
        letter = f"-{short[name]}, " if name in short else "    "
        lines.append(f"  {letter}--{name:<16} {text}")
    lines += [
        "",
        "Example: bmrt_test --context_dir net --accuracy_f 0.01",
        "",
        "Exit codes: 0 success; 255 failed; 134 error in the options.",
        "The files that --debug_output writes hold what their names say (the vendor's tester swaps results and",
        "references of float outputs). Strict comparison: bittrue verify.",
    ]
    return "\n".join(lines)


def parse_shapes(text: str) -> list[tuple[int, ...]]:
    """`[1,3],[1,4]`"""
    return [tuple(atoi(d) for d in part.split(",") if d.strip()) for part in re.findall(r"\[([^\]]*)\]", text)]


def parse(arguments: Sequence[str], log: Log) -> Options:
    """The options. Raises ExitError with the tester's exit code for help, version and errors, after their line."""
    if not arguments:
        print(usage())
        raise ExitError(FAILED)
    try:
        pairs, _ = getopt.gnu_getopt(list(arguments), SHORT, _long_options(arguments))
    except getopt.GetoptError as e:
        print(f"bmrt_test: {e.msg}", file=sys.stderr, flush=True)
        log.fatal("deal_with_options:1628", "Unknown option 63", ABORTED)
    o = Options()
    for key, value in pairs:
        name = SHORT_NAMES[key[1]] if not key.startswith("--") else key[2:]
        _set(o, name, value, log)
    log.quiet, log.strict = "quiet-compat" in o.flags, "strict" in o.flags
    _check(o, log)
    return o


def _long_options(arguments: Sequence[str]) -> list[str]:
    """Names as getopt takes them; of ours only those that are written in full."""
    written = {a[2:].partition("=")[0] for a in arguments if a.startswith("--")}
    hidden = OURS - written
    return [f"{n}=" for n in WITH_VALUE if n not in hidden] + [n for n in FLAGS if n not in hidden]


def _set(o: Options, name: str, value: str, log: Log) -> None:
    if name == "help":
        print(usage())
        raise ExitError(FAILED)
    if name == "version":
        print(f"bmrt_test of bittrue {__version__}")
        raise ExitError(0)
    if name in ("cascade_device", "core_list") and value.strip() != "0":
        log.line(OWN, WARNING, f"--{name} {value}: only device 0 and core 0 exist here")
    if name in FLAGS:
        o.flags.add(name)
    elif name in ("context_dir", "append_dir"):
        o.folders.append(value)
    elif name == "bmodel_list":
        o.folders += _read_list(value, log)
    elif name == "bmodel":
        o.bmodels.append(value)
    elif name == "compare":
        o.compare = atoi(value) != 0
    elif name == "accuracy_f":
        o.accuracy_f = atof(value)
    elif name == "shapes":
        o.shapes = parse_shapes(value)
    elif name == "output_shapes":
        o.output_shapes = parse_shapes(value)
    elif name in ("output_ref", "test_case", "chip"):
        setattr(o, name, value)
    else:
        numbers = {
            "accuracy_i": "accuracy_i", "loopnum": "loops", "calculate_times": "repetitions", "thread_num": "threads",
            "net_idx": "net", "stage_idx": "stage", "devid": "device",
        }  # fmt: skip
        if name in numbers:
            setattr(o, numbers[name], atoi(value))


def _read_list(path: str, log: Log) -> list[str]:
    try:
        with open(path, encoding="utf-8") as f:
            return [token for token in f.read().split() if not token.startswith("#")]
    except (OSError, UnicodeDecodeError):
        log.fatal("read_bmodel_list:1389", f"bmodel_list[{path}] open failed", ABORTED)


def _check(o: Options, log: Log) -> None:
    if o.folders and o.bmodels:
        log.fatal("check_options:1358", "can't use dir and bmodel at the same time", ABORTED)
    if not o.folders and not o.bmodels:
        log.fatal("check_options:1361", "no context files", ABORTED)
    if o.test_case and o.test_case not in TEST_CASES:
        log.fatal("check_options:1367", f"{o.test_case} is not a test case", ABORTED)
    if o.loops < 1:
        log.fatal("check_options:1373", "loopnum should larger than 0", ABORTED)
    if o.threads < 1:
        log.fatal("check_options:1378", "thread num should larger than 0", ABORTED)
    if o.bmodels:
        o.compare = False
