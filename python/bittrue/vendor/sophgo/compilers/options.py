"""The compilers of the vendor and their options, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bittrue.vendor.sophgo.arguments import Option, Parsed, Tool

CHIPS = ("BM1682", "BM1684", "BM1684X", "BM1686")
DEFAULT_CHIP = "BM1684"
SHAPES_HELP = "shapes of the inputs, [1,3,224,224],[1,10]; -1 with --dyn takes the model's own dimension"


def _with_common(opt: int, *own: Option, net_name: str) -> tuple[Option, ...]:
    """Options of one compiler: its own, then what all of them have."""
    return (
        *own,
        Option("shapes", "shapes", SHAPES_HELP),
        Option("net_name", "text", f"name of the network in the bmodel (without it {net_name})"),
        Option("opt", "int", "0: no fusion, 1: fusion, 2: as 1; never changes numbers", opt, choices=("0", "1", "2")),
        Option("dyn", "bool", "batch, height and width may be smaller at run time", False),
        Option("outdir", "path", "folder to write", required=True),
        Option("target", "text", "chip; without it BM1684, with a warning", choices=CHIPS),
        Option("cmp", "bool", "compare every layer with the reference while compiling; write reference data", True),
        Option("dump_ref", "bool", "with --cmp=false: write reference data without comparing", False),
        Option("mode", "text", "GenUmodel writes an fp32umodel in place of a bmodel", "compile", choices=MODES),
        Option("enable_profile", "bool", "write layer_profile.csv: operations, bytes and time of every layer", False),
        Option("show_args", "bool", "print the options in use", False),
        Option("check_model", "bool", "only say which layers are not supported; needs no weights", False, alone=True),
        Option("list_ops", "bool", "only list the layers that this compiler reads", False, alone=True),
        Option("v", "int", "lines shown: 0 fatal, 1 errors, 2 warnings, 3 all, 4 details", 3, choices=LEVELS),
        Option("log_dir", "path", "folder for a copy of the lines"),
        Option("clean", "bool", "empty the folder before it is written", False),
        Option("log-style", "text", "lines at the end as older or newer releases print them", "old", choices=STYLES),
        Option("seed", "int", "of the random reference inputs", 0),
    )


MODES = ("compile", "GenUmodel")
LEVELS = ("0", "1", "2", "3", "4")
STYLES = ("old", "new")
UNKNOWN_FIELDS = Option("allow_unknown_fields", "bool", "skip fields of the prototxt that are not known", False)


@dataclass(frozen=True)
class Compiler:
    """framework: whose models it compiles. letter: of it, in the names of umodels. read: whether models of the
    framework are read here at all."""

    framework: str
    letter: str
    tool: Tool
    read: bool = True


def _compiler(name: str, framework: str, letter: str, example: str, options: tuple[Option, ...]) -> Compiler:
    summary = f"Compiles a model of {framework} to a bmodel and its reference data."
    return Compiler(framework, letter, Tool(name, summary, options, f"{name} {example} --target=BM1684 --outdir=out"))


def _unread(name: str, framework: str, letter: str) -> Compiler:
    summary = f"Models of {framework} are not read here."
    return Compiler(framework, letter, Tool(name, summary, (), "bmneto --help, for a model exported to ONNX"), False)


_CAFFE = _with_common(
    2,
    Option("model", "path", "prototxt", required=True),
    Option("weight", "path", "caffemodel", required=True, aliases=("weights",)),
    UNKNOWN_FIELDS,
    net_name="that of the prototxt",
)
_ONNX = _with_common(
    1,
    Option("model", "path", "ONNX file", required=True),
    Option("input_names", "names", "tensors that are inputs, in the order of --shapes (without it the model's)"),
    Option("output_names", "names", "tensors that are outputs (without it the model's)"),
    Option("descs", "text", "what reference inputs hold, [[0,int64,0,100]]: index, type, lowest, end (float 0 to 1)"),
    net_name="the name of the file",
)
_UMODEL = _with_common(
    2,
    Option("model", "path", "prototxt", required=True),
    Option("weight", "path", "umodel", required=True),
    Option("prec", "text", "what the umodel holds", "FP32", choices=("FP32", "INT8")),
    Option("max_n", "int", "batch of the network"),
    Option(
        "use_wino",
        "bool",
        "3x3 convolutions of an INT8 umodel as Winograd; a layer's use_winograd decides for it",
        False,
    ),
    net_name="that of the prototxt",
)

COMPILERS: dict[str, Compiler] = {
    c.tool.name: c
    for c in (
        _compiler(
            "bmnetc", "Caffe", "c", "--model=deploy.prototxt --weight=net.caffemodel --shapes=[1,3,300,300]", _CAFFE
        ),
        _compiler("bmneto", "ONNX", "o", "--model=net.onnx --shapes=[1,3,224,224]", _ONNX),
        _compiler("bmnetu", "umodels", "u", "-model=net_deploy.prototxt -weight=net.fp32umodel -max_n=1", _UMODEL),
        _unread("bmnett", "TensorFlow", "t"),
        _unread("bmnetm", "MXNet", "m"),
        _unread("bmnetp", "PyTorch", "p"),
        _unread("bmnetd", "Darknet", "d"),
        _unread("bmpaddle", "Paddle", "pp"),
    )
}


def as_arguments(values: dict[str, Any]) -> list[str]:
    """Values of a Python call as a command line, so that both are checked alike. None and empty values are left out."""
    return [
        f"--{name}={_text(value)}" for name, value in values.items() if value is not None and value not in ("", [], ())
    ]


def _text(value: Any) -> str:
    if isinstance(value, list | tuple) and all(isinstance(v, str) for v in value):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def shown(parsed: Parsed) -> list[str]:
    """`name = value` of every option."""
    return [f"{name} = {'' if value is None else _text(value)}".rstrip() for name, value in parsed.values.items()]
