"""Records of a Caffe data base: `Datum` in Caffe's form and in Sophgo's superset of it, and `AnnotatedDatum`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from bittrue.containers.picture import decode_picture
from bittrue.errors import DataError, UnsupportedError
from bittrue.importers.caffe.schema import new_message

Array = np.ndarray[Any, Any]
ANNOTATED = 0x0A  # the first byte of an AnnotatedDatum: field 1, length-delimited; a Datum starts with another field
DTYPES = ("float32", "float16", "int8", "uint8", "int16", "uint16", "int32", "uint32")  # by their numbers


@dataclass(frozen=True)
class Box:
    """A labelled object of an AnnotatedDatum: corners as stored, in fractions of the picture's width and height."""

    label: int
    xmin: float
    ymin: float
    xmax: float
    ymax: float
    difficult: bool = False


@dataclass(frozen=True)
class Sample:
    """One record: its array as stored (pictures are C, H, W in blue, green, red), its label if it has one, the boxes of
    an AnnotatedDatum. shaped: it is in Sophgo's newer form, which has a shape."""

    array: Array
    label: int | None = None
    boxes: tuple[Box, ...] = ()
    shaped: bool = False


def decode_datum(record: bytes) -> Sample:
    """A record of either form. Raises DataError for broken records and counts that do not fit the shape."""
    annotated = record[:1] == bytes([ANNOTATED])
    message = new_message("AnnotatedDatum" if annotated else "Datum")
    try:
        message.ParseFromString(record)
    except DecodeError as e:
        raise DataError("not a Datum") from e
    datum = message.datum if annotated else message
    label = datum.label if datum.HasField("label") else None
    boxes = _boxes(message) if annotated else ()
    if datum.encoded:
        return Sample(decode_picture(datum.data), label, boxes)
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
    return Sample(values.reshape(shape), label, boxes, datum.HasField("shape"))


def _boxes(message: Any) -> tuple[Box, ...]:
    """The label of a box is that of its group, as in Caffe-SSD."""
    return tuple(
        Box(g.group_label, a.bbox.xmin, a.bbox.ymin, a.bbox.xmax, a.bbox.ymax, a.bbox.difficult)
        for g in message.annotation_group
        for a in g.annotation
    )


def encode_picture(data: bytes, array: Array, label: int | None = None) -> bytes:
    """A record in Caffe's form that holds a picture's file as it is. array: the decoded picture (C, H, W)."""
    datum = new_message("Datum")
    datum.data, datum.encoded = data, True
    datum.channels, datum.height, datum.width = array.shape
    if label is not None:
        datum.label = label
    return bytes(datum.SerializeToString())


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
