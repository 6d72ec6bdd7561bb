"""Records of a Caffe data base: `Datum` in Caffe's form and in Sophgo's superset of it, and `AnnotatedDatum`."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from PIL import Image, UnidentifiedImageError

from bittrue.errors import DataError, UnsupportedError
from bittrue.importers.caffe.schema import new_message

Array = np.ndarray[Any, Any]
ANNOTATED = 0x0A  # the first byte of an AnnotatedDatum: field 1, length-delimited; a Datum starts with another field
DTYPES = ("float32", "float16", "int8", "uint8", "int16", "uint16", "int32", "uint32")  # by their numbers


@dataclass(frozen=True)
class Sample:
    """One record: its array as stored (pictures are C, H, W in blue, green, red), and its label if it has one."""

    array: Array
    label: int | None = None


def decode_datum(record: bytes) -> Sample:
    """A record of either form. Raises DataError for broken records and counts that do not fit the shape."""
    message = new_message("AnnotatedDatum" if record[:1] == bytes([ANNOTATED]) else "Datum")
    try:
        message.ParseFromString(record)
    except DecodeError as e:
        raise DataError("not a Datum") from e
    datum = message.datum if record[:1] == bytes([ANNOTATED]) else message
    label = datum.label if datum.HasField("label") else None
    if datum.encoded:
        return Sample(_decode_picture(datum.data), label)
    shape = tuple(datum.shape.dim) if datum.HasField("shape") else (datum.channels, datum.height, datum.width)
    if datum.data:
        dtype = np.dtype(DTYPES[datum.dtype]).newbyteorder("<")
        if len(datum.data) % dtype.itemsize:
            raise DataError(f"{len(datum.data)} bytes are no whole number of {DTYPES[datum.dtype]}")
        values = np.frombuffer(datum.data, dtype).astype(DTYPES[datum.dtype])
    else:
        values = np.fromiter(datum.float_data, np.float32, len(datum.float_data))
    if not values.size or min(shape, default=1) < 0 or values.size != math.prod(shape):
        raise DataError(f"{values.size} values for the shape {list(shape)}")
    return Sample(values.reshape(shape), label)


def _decode_picture(data: bytes) -> Array:
    try:
        image = Image.open(io.BytesIO(data))
        pixels = np.asarray(image.convert("L" if image.mode == "L" else "RGB"))
    except (OSError, UnidentifiedImageError) as e:
        raise DataError(f"an encoded picture that cannot be read ({e})") from e
    return np.ascontiguousarray(pixels[None] if pixels.ndim == 2 else pixels[:, :, ::-1].transpose(2, 0, 1))


def encode_datum(array: Array, label: int | None = None, *, caffe: bool = False) -> bytes:
    """A record of an array: float32 as float_data, other types as raw bytes of `dtype`.

    caffe: Caffe's own form, for three-dimensional uint8 and float32 arrays only. Raises UnsupportedError for types and
    shapes that the form does not have.
    """
    array = np.asarray(array)
    if array.dtype.name not in DTYPES:
        raise UnsupportedError(f"a Datum holds no {array.dtype}")
    if caffe and (array.ndim != 3 or array.dtype.name not in ("uint8", "float32")):
        raise UnsupportedError(
            f"Caffe's Datum holds uint8 or float32 of 3 dimensions, not {array.dtype} of {array.ndim}"
        )
    datum = new_message("Datum")
    if caffe:
        datum.channels, datum.height, datum.width = array.shape
    else:
        datum.shape.dim.extend(array.shape)
        datum.dtype = DTYPES.index(array.dtype.name)
    if array.dtype == np.float32:
        datum.float_data.extend(array.ravel().tolist())
    else:
        datum.data = array.astype(array.dtype.newbyteorder("<")).tobytes()
    if label is not None:
        datum.label = label
    return bytes(datum.SerializeToString())
