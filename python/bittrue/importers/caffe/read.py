"""Reading the two files of a Caffe model: the prototxt (structure) and the caffemodel (blobs by layer name)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import text_format
from google.protobuf.message import DecodeError

from bittrue.errors import DataError
from bittrue.importers.caffe.schema import new_message
from bittrue.importers.caffe.upgrade import upgrade

Array = np.ndarray[Any, Any]


def read_prototxt(path: Path, *, allow_unknown_fields: bool = False) -> Any:
    """The NetParameter of a prototxt; layers of the older syntaxes come as `layer`.

    Raises DataError with line and column for what is no prototxt, or has a field that the schema does not know (unless
    `allow_unknown_fields`, which skips such fields).
    """
    net = new_message("NetParameter")
    try:
        text_format.Parse(path.read_bytes(), net, allow_unknown_field=allow_unknown_fields)
    except OSError as e:
        raise DataError(f"{path}: cannot be read ({e.strerror or e})") from e
    except text_format.ParseError as e:
        hint = "; --allow-unknown-fields skips such fields" if "has no field named" in str(e) else ""
        reason = str(e).replace("bittrue.caffe.", "")
        raise DataError(f"{path}: line {reason}{hint}") from e
    except UnicodeDecodeError as e:
        raise DataError(f"{path}: not a text file (byte {e.start})") from e
    try:
        upgrade(net)
    except DataError as e:
        raise DataError(f"{path}: {e}") from e
    if not net.layer:
        raise DataError(f"{path}: the network has no layers")
    return net


def blob_array(blob: Any) -> Array:
    """A BlobProto as float32, of its `shape` or the four old dimensions. Raises DataError if the count differs."""
    shape = tuple(blob.shape.dim) if blob.HasField("shape") else (blob.num, blob.channels, blob.height, blob.width)
    values = blob.double_data if blob.double_data else blob.data
    if min(shape, default=1) < 0 or math.prod(shape) != len(values):
        raise DataError(f"a blob of shape {list(shape)} with {len(values)} values")
    return np.fromiter(values, np.float32, len(values)).reshape(shape)


def whole_fields(data: bytes) -> int:
    """Where the outermost fields of a protobuf message that are whole end: the first byte of the field that is not."""
    end = 0
    try:
        while end < len(data):
            tag, at = _varint(data, end)
            match tag & 7:
                case 0:
                    at = _varint(data, at)[1]
                case 1 | 5 as fixed:
                    at += 8 if fixed == 1 else 4
                case 2:
                    length, at = _varint(data, at)
                    at += length
                case _:
                    break
            if at > len(data) or tag >> 3 == 0:
                break
            end = at
    except IndexError:
        pass
    return end


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and the place behind it."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def read_caffemodel(path: Path) -> dict[str, list[Array]]:
    """Blobs by layer name, of layers that have any. Raises DataError for broken files."""
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    weights = new_message("Weights")
    try:
        weights.ParseFromString(path.read_bytes())
    except OSError as e:
        raise DataError(f"{path}: cannot be read ({e.strerror or e})") from e
    except DecodeError as e:
        at = whole_fields(path.read_bytes())
        raise DataError(f"{path}: not a caffemodel, or cut off: what begins at byte {at} cannot be read") from e
    blobs: dict[str, list[Array]] = {}
    for layer in (*weights.layers, *weights.layer):
        old = layer.layer if "layer" in layer.DESCRIPTOR.fields_by_name else layer
        name = layer.name or old.name
        try:
            arrays = [blob_array(b) for b in layer.blobs or old.blobs]
        except DataError as e:
            raise DataError(f"{path}: layer '{name}': {e}") from e
        if arrays:
            blobs[name] = arrays
    if not blobs:
        raise DataError(f"{path}: holds no layer with weights")
    return blobs
