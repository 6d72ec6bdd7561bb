"""Caffe's `transform_param` on stored samples, in its fixed order: resize, centred crop, mean, scale; or Sophgo's list
of `transform_op` in place of it.

Steps that only training has (mirror, noise, distort, expand, emit constraints) are left out, with a note.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from google.protobuf.message import DecodeError

from bittrue.containers.picture import NOTE, Interpolation, check_interpolation, opencv, resized
from bittrue.errors import DataError
from bittrue.importers.caffe.read import blob_array
from bittrue.importers.caffe.schema import new_message

Array = np.ndarray[Any, Any]
Step = Callable[[Array], Array]
INTERPOLATIONS: tuple[Interpolation, ...] = ("linear", "area", "nearest", "cubic", "lanczos4")  # from 1
PAD_MODES: dict[int, Literal["constant", "reflect", "edge"]] = {1: "constant", 2: "reflect", 3: "edge"}
FIT_SMALL_SIZE, FIT_LARGE_SIZE_AND_PAD = 2, 3
RESIZE, CROP, STAND = 0, 1, 2  # kinds of transform_op
TRAINING_ONLY = ("noise_param", "emit_constraint", "distort_param", "expand_param")
GRAY = np.asarray([0.114, 0.587, 0.299], np.float32)  # of blue, green, red


def padded(x: Array, height: int, width: int, mode: Literal["constant", "reflect", "edge"], fill: Array) -> Array:
    """Samples (.., C, H, W) with borders up to a size, the smaller half in front. fill: one value, or one a channel."""
    before = [max(0, k - d) // 2 for k, d in zip((height, width), x.shape[-2:], strict=True)]
    after = [max(0, k - d) - b for k, d, b in zip((height, width), x.shape[-2:], before, strict=True)]
    edges = [(0, 0)] * (x.ndim - 2) + list(zip(before, after, strict=True))
    if mode != "constant":
        return np.pad(x, edges, mode)
    if len(fill) not in (1, x.shape[-3]):
        raise DataError(f"{len(fill)} values of padding for {x.shape[-3]} channels")
    result = np.broadcast_to(
        fill.astype(x.dtype)[:, None, None], [d + sum(e) for d, e in zip(x.shape, edges, strict=True)]
    )
    result = result.copy()
    result[..., before[0] : before[0] + x.shape[-2], before[1] : before[1] + x.shape[-1]] = x
    return result


def cropped(x: Array, height: int, width: int) -> Array:
    """The centre of samples (.., H, W), offsets rounded down. Raises DataError for smaller samples."""
    top, left = (x.shape[-2] - height) // 2, (x.shape[-1] - width) // 2
    if min(top, left) < 0:
        raise DataError(f"a crop of {height} x {width} from samples of {x.shape[-2]} x {x.shape[-1]}")
    return x[..., top : top + height, left : left + width]


def _fraction(x: Array, fraction: float) -> Array:
    return cropped(x, *(math.floor(fraction * d) for d in x.shape[-2:]))


def _shorter(x: Array, length: int) -> Array:
    """The shorter side of a length, the ratio of the sides kept."""
    factor = length / min(x.shape[-2:])
    height, width = (max(length, round(d * factor)) for d in x.shape[-2:])
    return resized(x, height, width)


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
    x = x.astype(np.float32)
    if mean.shape[-1] > 1 and mean.shape[-2:] != x.shape[-2:]:
        mean = cropped(mean, *x.shape[-2:])
    if len(mean) not in (1, x.shape[-3]):
        raise DataError(f"{len(mean)} means for {x.shape[-3]} channels")
    return x - mean


def _resize_step(p: Any) -> Step:
    if not p.height or not p.width:
        raise DataError("resize_param: height and width are needed")
    # of several modes training draws one; the first stands for them
    mode = INTERPOLATIONS[(p.interp_mode[0] if p.interp_mode else 1) - 1]
    check_interpolation(mode)
    fill = np.asarray(p.pad_value or [0.0], np.float32)

    def run(x: Array) -> Array:
        height, width = x.shape[-2:]
        wide, wanted = width / height, p.width / p.height
        if p.resize_mode not in (FIT_SMALL_SIZE, FIT_LARGE_SIZE_AND_PAD):
            return resized(x, p.height, p.width, mode)
        # FIT_SMALL_SIZE: one side fits, the other is larger; FIT_LARGE_SIZE_AND_PAD: the other is smaller.
        by_width = (wide < wanted) == (p.resize_mode == FIT_SMALL_SIZE)
        size = (math.floor(p.width / wide), p.width) if by_width else (p.height, math.floor(wide * p.height))
        x = resized(x, max(1, size[0]), max(1, size[1]), mode)
        return x if p.resize_mode == FIT_SMALL_SIZE else padded(x, p.height, p.width, PAD_MODES[p.pad_mode], fill)

    return run


def _sophgo_resize(sizes: list[int]) -> Step:
    """`resize`: the shorter side, or height and width."""
    if len(sizes) > 2 or min(sizes) < 1:
        raise DataError(f"resize {sizes}: the shorter side, or height and width are needed")
    return lambda x: _shorter(x, sizes[0]) if len(sizes) == 1 else resized(x, sizes[0], sizes[1])


def _gray(x: Array) -> Array:
    return x if x.shape[-3] == 1 else (x.astype(np.float32) * GRAY[:, None, None]).sum(-3, keepdims=True)


def _standardized(x: Array) -> Array:
    """Every sample by itself, as TensorFlow does: the deviation is at least that of one over the root of the count."""
    axes = (-3, -2, -1)
    least = np.float32(1 / math.sqrt(math.prod(x.shape[-3:])))
    return (x - x.mean(axes, keepdims=True)) / np.maximum(x.std(axes, keepdims=True), least)


def _classic(p: Any, folder: Path) -> list[Step]:
    mean, scale = _mean(list(p.mean_value), p.mean_file, folder), np.float32(p.scale)
    size = (p.crop_h, p.crop_w) if p.crop_h and p.crop_w else (p.crop_size, p.crop_size)
    if p.crop_fraction and size[0]:
        raise DataError("both crop_fraction and a size of the crop")
    if p.resize and p.HasField("resize_param"):
        raise DataError("both resize and resize_param")
    steps: list[Step] = [_gray] if p.force_gray else []
    if p.HasField("resize_param"):
        steps.append(_resize_step(p.resize_param))
    if p.resize:
        steps.append(_sophgo_resize(list(p.resize)))
    if size[0]:
        steps.append(lambda x: cropped(x, *size))
    if p.crop_fraction:
        steps.append(lambda x: _fraction(x, p.crop_fraction))
    steps.append(lambda x: _subtract(x, mean) * scale)
    return [*steps, _standardized] if p.standardization else steps


def _notes(p: Any) -> list[str]:
    """What a user must know of: steps of training that are left out, and resizing that is not OpenCV's."""
    notes = [f"{name} is a step of training, left out" for name in TRAINING_ONLY if p.HasField(name)]
    if p.resize_param.prob < 1:
        notes.append(f"resize_param: prob {p.resize_param.prob:g} is of training; every sample is resized")
    resizes = p.HasField("resize_param") or p.resize or any(o.op == RESIZE for o in p.transform_op)
    return [*notes, NOTE] if resizes and opencv() is None else notes


def _op(p: Any, folder: Path) -> Step:
    if p.op == RESIZE:
        if p.resize_h and p.resize_w:
            return lambda x: resized(x, p.resize_h, p.resize_w)
        if not p.resize_side:
            raise DataError("transform_op RESIZE: resize_side, or resize_h and resize_w are needed")

        return lambda x: _shorter(x, p.resize_side)
    if p.op == CROP:
        if not (p.crop_h and p.crop_w):
            if not p.crop_fraction:
                raise DataError("transform_op CROP: crop_fraction, or crop_h and crop_w are needed")
            return lambda x: _fraction(x, p.crop_fraction)
        fill = np.asarray([p.padding], np.float32)
        if p.HasField("padding"):
            return lambda x: cropped(padded(x, p.crop_h, p.crop_w, "constant", fill), p.crop_h, p.crop_w)
        return lambda x: cropped(x, p.crop_h, p.crop_w)
    if p.op == STAND:
        mean, factor = _mean(list(p.mean_value), p.mean_file, folder), np.float32(p.scale) / np.float32(p.div)
        return lambda x: _subtract(x[..., ::-1, :, :] if p.bgr2rgb else x, mean) * factor
    return lambda x: x


class Transform:
    """A TransformationParameter, applied to samples (.., C, H, W) as stored.

    folder: where relative mean files are looked for after the working directory. Raises DataError for parameters that
    contradict each other or are missing, UnsupportedError for interpolations that need OpenCV where it is absent.
    notes: remarks for the user.
    """

    def __init__(self, parameter: Any, folder: Path) -> None:
        self.notes = _notes(parameter)
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
        # bytes stay bytes until they are resized, as in Caffe
        x = array if array.dtype == np.uint8 else array.astype(np.float32)
        for step in self._steps:
            x = step(x)
        return np.ascontiguousarray(x, np.float32)
