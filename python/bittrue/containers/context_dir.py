"""Context directories: a compiled model with its reference data, layer outputs and manifest."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.containers.archive import NpzArchive
from bittrue.containers.bmodel import Bmodel, read_bmodel, write_bmodel
from bittrue.containers.refdata import Arrays, StageIo, io_info_text, model_io, read_refdata, write_refdata
from bittrue.errors import DataError

MODEL = "compilation.bmodel"
INPUTS = "input_ref_data.dat"
OUTPUTS = "output_ref_data.dat"
IO_INFO = "io_info.dat"
LAYERS = "layers_ref.npz"
MANIFEST = "manifest.json"


@dataclass
class ContextDir:
    """An opened context directory; reference data is read when first used.

    manifest: contents of manifest.json, {} when there is none.
    """

    path: Path
    model: Bmodel
    manifest: dict[str, Any]

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, verify_hashes: bool = True) -> ContextDir:
        """Opens a directory with compilation.bmodel.

        verify_hashes: compare the files with the SHA-256 values in manifest.json, where present.
        Raises DataError for a missing or broken model or manifest, or a hash that differs.
        """
        folder = Path(path)
        if not folder.is_dir():
            raise DataError(f"context directory {folder} does not exist")
        if not (folder / MODEL).is_file():
            raise DataError(f"context directory {folder} has no {MODEL}")
        manifest = read_manifest(folder / MANIFEST)
        if verify_hashes:
            _verify_files(folder, manifest)
        return cls(folder, read_bmodel(folder / MODEL), manifest)

    @cached_property
    def io(self) -> list[StageIo]:
        """Tensors of each stage, net-major."""
        return model_io(self.model)

    @cached_property
    def inputs(self) -> list[Arrays]:
        """Reference inputs of each stage: tensor name -> array in the type of the model. Raises DataError."""
        return read_refdata(self.path / INPUTS, [s.inputs for s in self.io])

    @cached_property
    def outputs(self) -> list[Arrays]:
        """Reference outputs of each stage, like `inputs`."""
        return read_refdata(self.path / OUTPUTS, [s.outputs for s in self.io])

    @property
    def has_layers(self) -> bool:
        return (self.path / LAYERS).is_file()

    @cached_property
    def layers(self) -> Mapping[str, np.ndarray]:
        """Layer outputs for the reference inputs of the first stage: tensor name -> array; {} when not stored."""
        return NpzArchive(self.path / LAYERS) if self.has_layers else {}


def save_npz(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]) -> None:
    """Writes an .npz file with any array names and the same bytes on every run."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as f:
                np.lib.format.write_array(f, np.asanyarray(array), allow_pickle=False)


def read_manifest(path: Path) -> dict[str, Any]:
    """The contents of a manifest.json, {} when there is none. Raises DataError."""
    if not path.is_file():
        return {}
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as e:
        raise DataError(f"{path} is not readable JSON: {e}") from e
    if not isinstance(data, dict) or not isinstance(data.get("files", {}), dict):
        raise DataError(f"{path} is not a manifest (an object with 'files')")
    return data


def _verify_files(folder: Path, manifest: dict[str, Any]) -> None:
    for name, entry in manifest.get("files", {}).items():
        expected = entry.get("sha256") if isinstance(entry, dict) else entry
        if Path(name).name != name:
            raise DataError(f"{folder / MANIFEST}: '{name}' is not a plain file name")
        if not (folder / name).is_file():
            raise DataError(f"{folder / name} is listed in {MANIFEST} but missing")
        actual = file_sha256(folder / name)
        if actual != expected:
            raise DataError(
                f"{folder / name}: SHA-256 {actual[:8]} differs from {str(expected)[:8]} in {MANIFEST}; "
                f"the file was changed after it was made"
            )


def file_sha256(path: str | os.PathLike[str]) -> str:
    """Hexadecimal SHA-256 of a file."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def write_context_dir(
    path: str | os.PathLike[str],
    model: Bmodel,
    inputs: Sequence[Arrays] | None,
    outputs: Sequence[Arrays] | None,
    *,
    layers: Mapping[str, np.ndarray] | None = None,
    manifest: Mapping[str, Any] | None = None,
) -> ContextDir:
    """Writes a context directory: everything into a temporary folder beside it first, then renamed in.

    inputs, outputs: one dict a stage (net-major), tensor name -> array; None: a model without reference data, and data
    of an earlier model is removed. layers: outputs of every layer. manifest: entries for manifest.json; "files" with
    size and SHA-256 is added.
    Raises DataError when data and model do not fit or the folder cannot be written.
    """
    target = Path(path)
    try:
        target.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".context.", dir=target))
    except OSError as e:
        raise DataError(f"mkdir[{target}] failed: {e.strerror or e}") from e
    try:
        _write_files(work, model, inputs, outputs, layers)
        names = sorted(p.name for p in work.iterdir())
        files = {n: {"bytes": (work / n).stat().st_size, "sha256": file_sha256(work / n)} for n in names}
        text = json.dumps({**(manifest or {}), "files": files}, indent=2, sort_keys=True)
        (work / MANIFEST).write_text(text + "\n", "utf-8")
        for stale in {MANIFEST, LAYERS, INPUTS, OUTPUTS, IO_INFO} - set(names):
            (target / stale).unlink(missing_ok=True)
        for name in (*names, MANIFEST):
            os.replace(work / name, target / name)
    except OSError as e:
        raise DataError(f"cannot write context directory {target}: {e.strerror or e}") from e
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return ContextDir.open(target, verify_hashes=False)


def _write_files(
    folder: Path,
    model: Bmodel,
    inputs: Sequence[Arrays] | None,
    outputs: Sequence[Arrays] | None,
    layers: Mapping[str, np.ndarray] | None,
) -> None:
    write_bmodel(model, folder / MODEL)
    if inputs is None or outputs is None:
        return
    io = model_io(model)
    write_refdata(folder / INPUTS, [s.inputs for s in io], inputs)
    write_refdata(folder / OUTPUTS, [s.outputs for s in io], outputs)
    text = "".join(io_info_text(s.inputs, s.outputs) for s in io)
    (folder / IO_INFO).write_text(text, "utf-8", newline="\n")
    if layers is not None:
        save_npz(folder / LAYERS, layers)
