"""What the tensors of one raw .dat file are: from io_info.dat, a .bmodel or a context directory."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.containers.bmodel import read_bmodel
from bittrue.containers.bmodel_codes import type_name
from bittrue.containers.build import IoTensor
from bittrue.containers.context_dir import MODEL
from bittrue.containers.refdata import StageIo, model_io, read_refdata
from bittrue.errors import DataError, UsageError

Array = np.ndarray[Any, Any]
DIMS = re.compile(r"\[\s*((?:\d+\s*)*)\]")


def read_io_info(path: Path) -> list[StageIo]:
    """The stages of an io_info.dat: `input:` and `output:`, then name, `[ dims ]` and data_type code of each tensor.

    Raises DataError, naming the line.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise DataError(f"{path}: cannot be read ({type(e).__name__})") from e
    stages: list[StageIo] = []
    side: list[IoTensor] | None = None
    at = 0
    while at < len(lines):
        title = lines[at].strip()
        if title == "input:":
            stages.append(StageIo((0, len(stages)), f"stage[{len(stages)}]", [], []))
            side = stages[-1].inputs
            at += 1
        elif title == "output:" and stages:
            side = stages[-1].outputs
            at += 1
        elif side is not None and at + 2 < len(lines):
            dims, code = DIMS.fullmatch(lines[at + 1].strip()), lines[at + 2].strip()
            if not dims or not code.isdecimal() or type_name(int(code)) == "unkown":
                raise DataError(f"{path}: line {at + 2}: expected `[ dims ]` and a data_type code of tensor '{title}'")
            side.append(IoTensor(title, type_name(int(code)), tuple(int(d) for d in dims[1].split())))
            at += 3
        else:
            raise DataError(f"{path}: line {at + 1}: '{title}' is not part of an io_info.dat")
    return stages


def read_io(path: Path) -> list[StageIo]:
    """The tensors of every stage, from any of the three. Raises DataError."""
    if path.is_dir() and (path / MODEL).is_file():
        path = path / MODEL
    return model_io(read_bmodel(path)) if path.suffix == ".bmodel" else read_io_info(path)


def read_raw(path: Path, io: Path) -> dict[str, Array]:
    """The tensors of a raw file that holds the inputs or the outputs of all stages, whichever its size is exactly.

    If both are, a file name with `input` or `output` in it decides. Names of a second and later stage have the prefix
    `stage<k>/`. Raises DataError for other sizes, UsageError if nothing decides.
    """
    stages = read_io(io)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    size = path.stat().st_size
    sizes = {side: sum(t.bytes for s in stages for t in s.side(side == "output")) for side in ("input", "output")}
    sides = [side for side, wanted in sizes.items() if wanted == size]
    if len(sides) == 2:
        sides = [side for side in sides if side in path.name]
    if len(sides) == 2 or (not sides and size in sizes.values()):
        raise UsageError(
            f"{path}: inputs and outputs of {io} have the same size; say which by `input` in the file name"
        )
    if not sides:
        raise DataError(f"{path}: {size} bytes; {io} has inputs of {sizes['input']} and outputs of {sizes['output']}")
    arrays = read_refdata(path, [s.side(sides[0] == "output") for s in stages])
    return {f"stage{k}/{n}" if k else n: a for k, stage in enumerate(arrays) for n, a in stage.items()}
