"""Tensors as text: dumps of the vendor's tester (`--debug_output`) and files of plain numbers.

The tester's first line is `<ctype>, shape[N, C, H, W]=[n,c,h,w]` (absent dimensions are 1), or `<ctype>, shape=[..,]`
and a second line for more than four dimensions, of which it writes the last four only. `N=<n>, C=<c>` lines and blanks
between the planes carry nothing that the order does not.
"""

from __future__ import annotations

import re
from math import prod
from typing import Any

import ml_dtypes
import numpy as np

from bittrue.errors import DataError

Array = np.ndarray[Any, Any]
CTYPES: dict[str, Any] = {
    "float": np.float32,
    "signed char": np.int8,
    "unsigned char": np.uint8,
    "short": np.int16,
    "unsigned short": np.uint16,
    "int": np.int32,
    "unsigned int": np.uint32,
    "tpu::fp16": np.float16,
    "tpu::bf16": ml_dtypes.bfloat16,
}
HEADER = re.compile(rb"([A-Za-z0-9_: ]+), shape(?:\[N, C, H, W\])?=\[([\d, ]+)\]")
PLAIN_TEXT = re.compile(rb"[-+.0-9A-Za-z\s]*")
PLANE = re.compile(rb"N=\d+, C=\d+")


def numbers(text: bytes, dtype: np.dtype[Any]) -> Array | None:
    """The white-space separated decimal numbers of a text, flat; None if it is anything else.

    Integers outside `dtype` are not its numbers: None as well.
    """
    if not PLAIN_TEXT.fullmatch(text):
        return None
    try:
        if dtype.kind in "iu":
            info = np.iinfo(dtype)
            values = [int(word) for word in text.split()]
            fits = all(info.min <= v <= info.max for v in values)
            return np.array(values, dtype) if fits else None
        with np.errstate(over="ignore"):  # larger than the type holds: infinity
            return np.array([float(word) for word in text.split()], np.float64).astype(dtype)
    except ValueError:
        return None


def read_text_dump(data: bytes) -> Array | None:
    """The tensor of a dump with the tester's first line, always with its four dimensions; None for other text.

    Raises DataError for unknown types, values that are missing, and dumps of more than four dimensions that leave
    values out.
    """
    first, _, rest = data.partition(b"\n")
    found = HEADER.fullmatch(first.strip())
    if not found:
        return None
    ctype = found[1].decode().replace("_", " ")
    if ctype not in CTYPES:
        raise DataError(f"text dump of type '{ctype}', which is not known; known: {', '.join(CTYPES)}")
    shape = tuple(int(word) for word in re.findall(rb"\d+", found[2]))
    if prod(shape[:-4]) > 1:
        raise DataError(f"text dump: shape {list(shape)}: the tester writes the last four dimensions only")
    body = b"\n".join(line for line in rest.split(b"\n") if not _remark(line))
    values = numbers(body, np.dtype(CTYPES[ctype]))
    if values is None or values.size != prod(shape):
        count = "no readable" if values is None else str(values.size)
        raise DataError(f"text dump: {ctype} {list(shape)} has {prod(shape)} values, the file {count} numbers")
    return values.reshape(shape)


def _remark(line: bytes) -> bool:
    return bool(PLANE.fullmatch(line.strip())) or line.startswith(b"rank > 4")
