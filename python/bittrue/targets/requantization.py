"""The same real factor in the forms that an output stage can hold it in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bittrue.targets.factors import quantized_multiplier

Array = np.ndarray[Any, Any]
PARAMETERS = {"shift": ("shift",), "multiplier_shift": ("multiplier", "shift"), "double_round": ("multiplier", "shift")}
PARAMETERS["float_scale"] = ("scale",)


def factors_of(attrs: Mapping[str, Any]) -> Array | None:
    """The real factors of an output stage, one or one per channel, float64; None for stages without one."""
    kind = attrs.get("requant", "none")
    if kind == "float_scale":
        return np.array(attrs.get("scale", [1.0]), np.float32).astype(np.float64)
    if kind not in ("shift", "multiplier_shift", "double_round"):
        return None
    shift = np.array(attrs.get("shift", [0]), np.float64)
    if kind == "shift":
        return np.asarray(2.0**-shift)
    multiplier = np.array(attrs.get("multiplier", [1]), np.float64)
    return np.asarray(multiplier * 2.0 ** -(shift + (31 if kind == "double_round" else 0)))


def parameters(kind: str, factors: Array) -> dict[str, Any]:
    """Attributes that hold real factors: a binary32 `scale`, or 31-bit multipliers and shifts."""
    flat = np.atleast_1d(factors).reshape(-1)
    if kind == "float_scale":
        return {"scale": flat.astype(np.float32).astype(np.float64).tolist()}
    pairs = [quantized_multiplier(float(f)) for f in flat]
    extra = 31 if kind == "multiplier_shift" else 0
    return {"multiplier": [m for m, _ in pairs], "shift": [extra - e for _, e in pairs]}


def completed(attrs: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes of a node's attributes; a change of `requant` that names no parameters takes over the node's own
    factor in the new form."""
    kind = changes.get("requant")
    if kind not in ("multiplier_shift", "double_round", "float_scale") or any(k in changes for k in PARAMETERS[kind]):
        return dict(changes)
    factors = factors_of(attrs)
    return dict(changes) if factors is None else {**changes, **parameters(kind, factors)}
