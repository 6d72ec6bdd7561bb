"""The compilers as command lines and as Python functions."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from bittrue.errors import BittrueError, DataError, UnsupportedError, UsageError
from bittrue.vendor.sophgo.arguments import HELP, Parsed
from bittrue.vendor.sophgo.compilers.build import build, shapes_of
from bittrue.vendor.sophgo.compilers.frontends import FRONTENDS, Source, lower
from bittrue.vendor.sophgo.compilers.generate import generate
from bittrue.vendor.sophgo.compilers.log import WARNING, Log
from bittrue.vendor.sophgo.compilers.options import COMPILERS, DEFAULT_CHIP, as_arguments, shown
from bittrue.vendor.sophgo.umodel import is_int8_umodel


def run(name: str, arguments: Sequence[str]) -> int:
    """A compiler as a command line; returns its exit code. Errors are one line on stderr."""
    try:
        compiler = COMPILERS[name]
        if not compiler.read and not {a.lstrip("-") for a in arguments}.intersection(HELP):
            refuse_unread(f"{name}: models of {compiler.framework}")
        return compiler.tool.run(arguments, lambda options: execute(name, options))
    except BittrueError as e:
        print(f"error: {e}", file=sys.stderr)
        return e.exit_code


def call(name: str, options: dict[str, Any], **values: Any) -> int:
    """A compiler as a function of its options; returns 0. options: further ones.

    Raises exceptions of `bittrue.errors`.
    """
    execute(name, COMPILERS[name].tool.parse(as_arguments({**values, **options})))
    return 0


def refuse_unread(what: str) -> NoReturn:
    """Raises UnsupportedError that names the compilers whose models are read."""
    known = ", ".join(f"{n} ({c.framework})" for n, c in COMPILERS.items() if c.read)
    raise UnsupportedError(f"{what} are not read; there are {known}")


def execute(name: str, options: Parsed) -> None:
    """Runs a compiler. Raises exceptions of `bittrue.errors`."""
    log = Log(name, options["v"], options["log_dir"])
    try:
        _execute(name, options, log)
    except BittrueError as e:
        log.keep(f"error: {e}")
        raise


def _execute(name: str, options: Parsed, log: Log) -> None:
    if options["show_args"]:
        for line in shown(options):
            log.plain(line)
    if options["list_ops"]:
        print("\n".join(sorted(FRONTENDS[name].layers())))
        return
    if not options["model"]:
        raise UsageError(f"{name}: --model is necessary")
    source = _source(name, options)
    if source.winograd and not source.int8:
        log.line("--use_wino has no effect: an FP32 network has no Winograd form", WARNING)
    if options["target"] is None:
        log.line(f"--target is not given; the network is compiled for {DEFAULT_CHIP}", WARNING)
    if options["check_model"]:
        model = lower(source, shapes_of(source, options), options["target"] or DEFAULT_CHIP).model
        log.line(f"{source.model}: all {len(model.graph.nodes)} layers are supported by {model.target}")
    elif options["mode"] == "GenUmodel":
        shapes, outdir = shapes_of(source, options), Path(options["outdir"])
        generate(source, shapes, outdir, options["cmp"], options["seed"], log)
    else:
        build(source, options, log)


def _source(name: str, options: Parsed) -> Source:
    """The files and how they are read. Raises DataError for files that are not there or not of the precision that the
    options say."""
    given = options.values.get
    model, weight = Path(options["model"]), given("weight")
    for path in (model, Path(weight) if weight else None):
        if path and not path.is_file():
            raise DataError(f"{path}: no such file")
    source = Source(
        name,
        model,
        Path(weight) if weight else None,
        options["opt"],
        tuple(given("input_names") or ()),
        tuple(given("output_names") or ()),
        allow_unknown_fields=given("allow_unknown_fields", name == "bmnetu"),
        int8=given("prec") == "INT8",
        winograd=bool(given("use_wino")),
    )
    if name == "bmnetu" and source.weight and is_int8_umodel(source.weight) != source.int8:
        raise DataError(
            f"{weight}: {'an FP32' if source.int8 else 'an INT8'} umodel; --prec={options['prec']} says otherwise"
        )
    return source
