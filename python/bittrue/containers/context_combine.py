"""Joining context directories: models and their reference data."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from bittrue.containers.bmodel import write_atomic, write_bmodel
from bittrue.containers.bmodel_edit import combine
from bittrue.containers.context_dir import INPUTS, IO_INFO, LAYERS, MANIFEST, MODEL, OUTPUTS, ContextDir
from bittrue.containers.refdata import StageIo
from bittrue.errors import DataError


def combine_dirs(
    folders: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str], *, force: bool = False
) -> None:
    """Writes a directory with the combined model and both .dat files, ordered as the stages of the result.

    Raises DataError for a folder without the three files, stages in conflict, or data that does not fit its model
    (naming file, net, stage, needed and present bytes).
    """
    contexts = []
    for folder in folders:
        if not all((Path(folder) / n).is_file() for n in (MODEL, INPUTS, OUTPUTS)):
            raise DataError(f"dir[{os.fspath(folder)}] is not correct")
        contexts.append(ContextDir.open(folder))
    result = combine([c.model for c in contexts], force=force)
    data = {}
    for side, name in ((False, INPUTS), (True, OUTPUTS)):
        parts = [_stage_bytes(c.path / name, c.io, side) for c in contexts]
        data[name] = b"".join(parts[i][ref.net_index, ref.stage_index] for i, ref in result.sources)
    target = Path(out)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise DataError(f"mkdir[{target}] failed") from e
    for stale in (MANIFEST, LAYERS, IO_INFO):
        (target / stale).unlink(missing_ok=True)
    write_bmodel(result.model, target / MODEL)
    for name, content in data.items():
        write_atomic(target / name, content)


def _stage_bytes(path: Path, stages: list[StageIo], outputs: bool) -> dict[tuple[int, int], bytes]:
    """Raw data of each stage by (net index, stage index)."""
    try:
        data = path.read_bytes()
    except OSError as e:
        raise DataError(f"cannot read {path}: {e.strerror or e}") from e
    result, pos = {}, 0
    for stage in stages:
        need = sum(io.bytes for io in stage.side(outputs))
        if len(data) - pos < need:
            raise DataError(f"{path}: {stage.label} needs {need} bytes, {len(data) - pos} are left")
        result[stage.key] = data[pos : pos + need]
        pos += need
    if pos != len(data):
        raise DataError(f"{path}: expected {pos} bytes for the tensors of the model, found {len(data)}")
    return result
