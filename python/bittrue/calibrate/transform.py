"""Caffe's `transform_param` on stored samples, in its fixed order: resize, centred crop, mean, scale; or Sophgo's list
of `transform_op` in place of it.

Steps that only training has (mirror, noise, distort, expand, emit constraints) are left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from bittrue.errors import DataError, UnsupportedError
from bittrue.importers.caffe.read import blob_array
from bittrue.importers.caffe.schema import new_message

Array = np.ndarray[Any, Any]
Step = Callable[[Array], Array]
GRAY = np.asarray([0.114, 0.587, 0.299], np.float32)  # of blue, green, red


def _axis(x: Array, axis: int, length: int, nearest: bool) -> Array:
    size = x.shape[axis]
    if nearest:
        return np.take(x, np.minimum((np.arange(length) * (size / length)).astype(np.int64), size - 1), axis)
    at = np.clip((np.arange(length) + 0.5) * (size / length) - 0.5, 0, size - 1)
    low = at.astype(np.int64)
    part = (at - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(x.ndim)])
    a, b = np.take(x, low, axis), np.take(x, np.minimum(low + 1, size - 1), axis)
    return a + (b - a) * part


def resized(x: Array, height: int, width: int, *, nearest: bool = False) -> Array:
    """Samples (.., H, W) in another size: bilinear with pixel centres at half (OpenCV's rule), or nearest."""
    return _axis(_axis(x, x.ndim - 2, height, nearest), x.ndim - 1, width, nearest)


def cropped(x: Array, height: int, width: int, padding: float | None = None) -> Array:
    """The centre of samples (.., H, W), offsets rounded down; larger sizes are filled with `padding`."""
    if padding is not None:
        before = [max(0, k - d) // 2 for k, d in zip((height, width), x.shape[-2:], strict=True)]
        after = [max(0, k - d) - b for k, d, b in zip((height, width), x.shape[-2:], before, strict=True)]
        edges = [(0, 0)] * (x.ndim - 2) + list(zip(before, after, strict=True))
        x = np.pad(x, edges, constant_values=padding)
    top, left = (x.shape[-2] - height) // 2, (x.shape[-1] - width) // 2
    if min(top, left) < 0:
        raise DataError(f"a crop of {height} x {width} from samples of {x.shape[-2]} x {x.shape[-1]}")
    return x[..., top : top + height, left : left + width]


def _mean(values: list[float], file: str, folder: Path) -> Array:
    """The mean as (C, 1, 1), or (C, H, W) of a file."""
    if values and file:
        raise DataError("both mean_value and mean_file")
    if not file:
        return np.asarray(values or [0], np.float32).reshape(-1, 1, 1)
    path = next((p for p in (Path(file), folder / file) if p.is_file()), None)
    if path is None:
        raise DataError(f"mean_file {file}: no such file")
    blob = new_message("BlobProto")
    try:
        blob.ParseFromString(path.read_bytes())
        mean = blob_array(blob)
    except (DecodeError, DataError) as e:
        raise DataError(f"mean_file {file}: not a blob ({e})") from e
    return mean.reshape(mean.shape[-3:])


def _subtract(x: Array, mean: Array) -> Array:
    """The mean of a file is cropped as the sample was."""
    if mean.shape[-1] > 1 and mean.shape[-2:] != x.shape[-2:]:
        mean = cropped(mean, *x.shape[-2:])
    if len(mean) not in (1, x.shape[-3]):
        raise DataError(f"{len(mean)} means for {x.shape[-3]} channels")
    return x - mean


def _resize_step(p: Any) -> Step:
    modes = list(p.interp_mode)
    if modes and modes[0] not in (1, 3):
        raise UnsupportedError("resize_param: interp_mode other than LINEAR and NEAREST")
    if not p.height or not p.width:
        raise DataError("resize_param: height and width are needed")
    if p.resize_mode == 3 and p.pad_mode != 1:
        raise UnsupportedError("resize_param: pad_mode other than CONSTANT")
    nearest = bool(modes) and modes[0] == 3

    def run(x: Array) -> Array:
        height, width = x.shape[-2:]
        wide, wanted = width / height, p.width / p.height
        if p.resize_mode == 1:
            return resized(x, p.height, p.width, nearest=nearest)
        # FIT_SMALL_SIZE: one side fits, the other is larger; FIT_LARGE_SIZE_AND_PAD: the other is smaller.
        by_width = (wide < wanted) == (p.resize_mode == 2)
        size = (math.floor(p.width / wide), p.width) if by_width else (p.height, math.floor(wide * p.height))
        x = resized(x, max(1, size[0]), max(1, size[1]), nearest=nearest)
        fill = p.pad_value[0] if p.pad_value else 0.0
        return x if p.resize_mode == 2 else cropped(x, p.height, p.width, fill)

    return run


def _gray(x: Array) -> Array:
    return x if x.shape[-3] == 1 else (x * GRAY[:, None, None]).sum(-3, keepdims=True)


def _standardized(x: Array) -> Array:
    """Every sample by itself, as TensorFlow does: the deviation is at least that of one over the root of the count."""
    axes = (-3, -2, -1)
    least = np.float32(1 / math.sqrt(math.prod(x.shape[-3:])))
    return (x - x.mean(axes, keepdims=True)) / np.maximum(x.std(axes, keepdims=True), least)


def _classic(p: Any, folder: Path) -> list[Step]:
    mean, scale = _mean(list(p.mean_value), p.mean_file, folder), np.float32(p.scale)
    size = (p.crop_h, p.crop_w) if p.crop_h and p.crop_w else (p.crop_size, p.crop_size)
    steps: list[Step] = [_gray] if p.force_gray else []
    if p.HasField("resize_param"):
        steps.append(_resize_step(p.resize_param))
    if size[0]:
        steps.append(lambda x: cropped(x, *size))
    steps.append(lambda x: _subtract(x, mean) * scale)
    return [*steps, _standardized] if p.standardization else steps


def _op(p: Any, folder: Path) -> Step:
    kind = p.DESCRIPTOR.fields_by_name["op"].enum_type.values_by_number[p.op].name
    if kind == "RESIZE":
        if p.resize_h and p.resize_w:
            return lambda x: resized(x, p.resize_h, p.resize_w)
        if not p.resize_side:
            raise DataError("transform_op RESIZE: resize_side, or resize_h and resize_w are needed")

        def shorter(x: Array) -> Array:
            factor = p.resize_side / min(x.shape[-2:])
            return resized(x, *(max(p.resize_side, round(d * factor)) for d in x.shape[-2:]))

        return shorter
    if kind == "CROP":
        fill = p.padding if p.HasField("padding") else None
        if p.crop_h and p.crop_w:
            return lambda x: cropped(x, p.crop_h, p.crop_w, fill)
        return lambda x: cropped(x, *(math.floor(p.crop_fraction * d) for d in x.shape[-2:]))
    if kind == "STAND":
        mean, factor = _mean(list(p.mean_value), p.mean_file, folder), np.float32(p.scale) / np.float32(p.div)
        return lambda x: _subtract(x[..., ::-1, :, :] if p.bgr2rgb else x, mean) * factor
    return lambda x: x


class Transform:
    """A TransformationParameter, applied to samples (.., C, H, W) as stored.

    folder: where relative mean files are looked for after the working directory. Raises DataError for parameters that
    contradict each other or are missing, UnsupportedError for interpolations that are not offered.
    """

    def __init__(self, parameter: Any, folder: Path) -> None:
        if parameter.transform_op:
            others = [f.name for f, _ in parameter.ListFields() if f.name != "transform_op"]
            if others:
                raise DataError(f"transform_param: transform_op and {others[0]} exclude each other")
            self._steps = [_op(p, folder) for p in parameter.transform_op]
        else:
            self._steps = _classic(parameter, folder)

    def __call__(self, array: Array) -> Array:
        """float32. Raises DataError for samples that the steps do not fit."""
        if array.ndim < 3:
            raise DataError(f"a sample of shape {list(array.shape)} is no picture")
        x = array.astype(np.float32)
        for step in self._steps:
            x = step(x)
        return np.ascontiguousarray(x, np.float32)
