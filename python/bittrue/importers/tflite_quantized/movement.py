"""Ops that move values without computing."""

from __future__ import annotations

from typing import Any

import numpy as np
import tflite

from bittrue.errors import UnsupportedError
from bittrue.importers.tflite_quantized.reader import NCHW, Importer, options
from bittrue.importers.tflite_quantized.registry import rule


@rule("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
def _reshape(m: Importer, operator: Any) -> None:
    x, y = int(operator.Inputs(0)), int(operator.Outputs(0))
    source, shape = m.elements_in_order(x), m.shape(y)
    trivial = len(shape) == 4 and (shape[3] == 1 or shape[1] == shape[2] == 1)
    (m.add if trivial else m.add_as_stored)("Reshape", [source], y, {})


@rule("TRANSPOSE")
def _transpose(m: Importer, operator: Any) -> None:
    x, y = int(operator.Inputs(0)), int(operator.Outputs(0))
    perm = [int(a) for a in m.stored(int(operator.Inputs(1)), "the permutation")]
    m.add_as_stored("Transpose", [m.as_stored(x)], y, {"perm": perm})


@rule("PAD")
def _pad(m: Importer, operator: Any) -> None:
    x, y = int(operator.Inputs(0)), int(operator.Outputs(0))
    amounts = m.stored(int(operator.Inputs(1)), "the padding")
    if amounts.ndim != 2 or len(amounts) != len(m.shape(x)):
        raise UnsupportedError(f"'{m.names[y]}': padding of {len(amounts)} dimensions")
    begins, ends = (amounts[list(NCHW)] if len(amounts) == 4 else amounts).T.tolist()
    m.add("Pad", [m.operand(x)], y, {"pads": [*begins, *ends], "value": m.zero_point(x)})


@rule("CONCATENATION")
def _concatenation(m: Importer, operator: Any) -> None:
    """Inputs of another scale go through a table: fl(fl(q * scale) + bias), rounded half away, in binary32."""
    inputs, y = [int(i) for i in operator.InputsAsNumpy()], int(operator.Outputs(0))
    if m.dtype(y) not in ("int8", "uint8", "int16"):
        raise UnsupportedError(f"'{m.names[y]}': concatenation of {m.dtype(y)}")
    names = []
    for i in inputs:
        name = m.operand(i)
        if not m.same_quantization(i, y):
            if m.dtype(y) != "uint8":
                raise UnsupportedError(f"'{m.names[y]}': concatenation of different scales")
            factor = np.float32(m.scale(i)) * (np.float32(1) / np.float32(m.scale(y)))
            raw = np.arange(256).astype(np.float32)
            v = raw * factor + np.float32(-m.zero_point(i)) * factor
            rounded = np.trunc(v + np.copysign(np.float32(0.5), v)).astype(np.int64) + m.zero_point(y)
            table = m.graph.add_constant(f"{name}/rescale", np.clip(rounded, 0, 255).astype(np.uint8))
            rescaled = m.between(f"{name}/rescaled", m.graph.types[name].shape, "uint8")
            m.add("Lookup", [name, table], rescaled, {})
            name = rescaled
        names.append(name)
    axis = m.axis(y, options(operator, tflite.ConcatenationOptions).Axis())
    m.add("Concat", names, y, {"axis": axis})


@rule("RESIZE_NEAREST_NEIGHBOR")
def _resize_nearest(m: Importer, operator: Any) -> None:
    """Rows, then columns are picked by their numbers, which TFLite derives in binary32."""
    x, y = int(operator.Inputs(0)), int(operator.Outputs(0))
    o = options(operator, tflite.ResizeNearestNeighborOptions)
    name, shape = m.operand(x), list(m.graph.types[m.names[x]].shape)
    for axis in (2, 3):
        wanted = m.shape(y)[axis - 1]
        picked = nearest(shape[axis], wanted, bool(o.AlignCorners()), bool(o.HalfPixelCenters()))
        shape[axis] = wanted
        index = m.graph.add_constant(f"{m.names[y]}/picked", picked)
        if axis == 2:
            target: int | str = m.between(f"{m.names[y]}/rows", tuple(shape), m.dtype(y))
        else:
            target = y
        m.add("Gather", [name, index], target, {"axis": axis})
        name = target if isinstance(target, str) else m.names[y]


def nearest(size: int, wanted: int, align_corners: bool, half_pixel: bool) -> Any:
    """The input position of each output position, int64."""
    one = np.float32
    aligned = align_corners and wanted > 1
    scale = one(size - 1) / one(wanted - 1) if aligned else one(size) / one(wanted)
    place = (np.arange(wanted).astype(np.float32) + one(0.5 if half_pixel else 0)) * scale
    picked = np.trunc(place + one(0.5)) if align_corners else np.floor(place)
    return np.clip(picked.astype(np.int64), 0, size - 1)
