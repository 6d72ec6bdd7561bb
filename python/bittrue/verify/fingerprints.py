"""SHA-256 fingerprints of network inputs, so that runs of different inputs are not compared."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.containers.context_dir import INPUTS, MANIFEST, read_manifest
from bittrue.errors import DataError

Array = np.ndarray[Any, Any]
FINGERPRINTS = "__inputs__"  # archive member: lines "<input name> <sha256>"


def sha256(array: Array) -> str:
    """Of the row-major bytes."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def input_records(inputs: Mapping[str, Array]) -> list[dict[str, Any]]:
    """What a result stores of network inputs."""
    return [{"name": n, "shape": list(a.shape), "dtype": str(a.dtype), "sha256": sha256(a)} for n, a in inputs.items()]


def fingerprints(archive: Mapping[str, Array], where: str = "archive") -> dict[str, str]:
    """Input name -> sha256 that an archive carries in its member `__inputs__`; {} without. Raises DataError.

    Of an archive that lies in a context directory, what the manifest says about the file of the inputs.
    """
    if FINGERPRINTS not in archive:
        entry = read_manifest(Path(where).parent / MANIFEST).get("files", {}).get(INPUTS)
        return {INPUTS: str(entry["sha256"])} if isinstance(entry, dict) and "sha256" in entry else {}
    lines = [str(line).rsplit(" ", 1) for line in np.atleast_1d(archive[FINGERPRINTS]).ravel()]
    if not all(len(parts) == 2 and len(parts[1]) == 64 for parts in lines):
        raise DataError(f"{where}: member {FINGERPRINTS} must hold lines of an input's name and its SHA-256")
    return {name: digest for name, digest in lines}


def fingerprint_member(inputs: Mapping[str, Array]) -> Array:
    """The member `__inputs__` of a dump made from these network inputs."""
    return np.array([f"{name} {sha256(array)}" for name, array in inputs.items()], dtype=np.str_)


def check_fingerprints(ref: Mapping[str, str], got: Mapping[str, str], allowed: bool) -> list[str]:
    """Refuses two sides made from different inputs; a warning for each where that is `allowed`. Raises DataError."""
    differing = [n for n in ref if n in got and ref[n] != got[n]]
    texts = [f"input '{n}' differs: SHA-256 {ref[n][:8]} in the reference, {got[n][:8]} in the run" for n in differing]
    if texts and not allowed:
        raise DataError(f"{texts[0]}; --allow-other-inputs compares all the same")
    return texts


def check_dump_inputs(
    archive: Mapping[str, Array], tensors: Mapping[str, Array], inputs: Mapping[str, Array], allowed: bool, where: str
) -> list[str]:
    """Refuses a dump that was made from other network inputs than `inputs`, as far as it says so: by its member
    `__inputs__`, or by holding the inputs themselves.

    archive: as it is on disk; tensors: the same under the model's names. Returns warnings where other inputs are
    `allowed`. Raises DataError.
    """
    carried = fingerprints(archive, where)
    carried |= {n: sha256(tensors[n]) for n in inputs if n in tensors and tensors[n].dtype == inputs[n].dtype}
    return check_fingerprints({n: sha256(a) for n, a in inputs.items()}, carried, allowed)
