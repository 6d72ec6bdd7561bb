"""Pictures as arrays (C, H, W) with blue first, decoded and resized by OpenCV's rules, which the vendor's tools share.

With the package OpenCV (extra `vision`) it is OpenCV that does it. Without, Pillow decodes, and bilinear and nearest
resizing follow OpenCV's rules in binary32: pixels of uint8 can then differ by one, since OpenCV rounds its weights.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from bittrue.errors import DataError, UnsupportedError

Array = np.ndarray[Any, Any]
Interpolation = Literal["linear", "area", "nearest", "cubic", "lanczos4"]
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
NOTE = "resized without OpenCV (pip install 'bittrue[vision]'): values can differ from the vendor's by one"


def opencv() -> Any:
    """The package, or None."""
    try:
        import cv2
    except ImportError:
        return None
    return cv2


def decode_picture(data: bytes, *, gray: bool | None = None) -> Array:
    """A picture's file as uint8 (C, H, W): one channel if `gray`, three if not, default as the file has it.

    Raises DataError for what is no picture.
    """
    try:
        image = Image.open(io.BytesIO(data))
        one = image.mode in ("1", "L") if gray is None else gray
        cv2 = opencv()
        if cv2 is None:
            pixels = np.asarray(ImageOps.exif_transpose(image).convert("L" if one else "RGB"))
            pixels = pixels if one else pixels[:, :, ::-1]
        else:
            mode = cv2.IMREAD_GRAYSCALE if one else cv2.IMREAD_COLOR
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
            if pixels is None:
                raise DataError("an encoded picture that cannot be read (OpenCV does not take it)")
    except (OSError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as e:
        raise DataError(f"an encoded picture that cannot be read ({e})") from e
    return np.ascontiguousarray(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))


def read_picture(path: Path, *, gray: bool = False) -> Array:
    """A file as uint8 (C, H, W), see `decode_picture`. Raises DataError that names it."""
    try:
        return decode_picture(path.read_bytes(), gray=gray)
    except OSError as e:
        raise DataError(f"{path}: cannot be read ({e.strerror})") from e
    except DataError as e:
        raise DataError(f"{path}: {e}") from e


def encoded(pixels: Array, kind: str) -> bytes:
    """A picture (C, H, W) of uint8, blue first, as a file: png, jpg, bmp. Raises UnsupportedError for other kinds."""
    kind = kind.lower().lstrip(".")
    if f".{kind}" not in SUFFIXES:
        raise UnsupportedError(f"pictures are not encoded as '{kind}'; known: {', '.join(s[1:] for s in SUFFIXES)}")
    cv2 = opencv()
    if cv2 is not None:
        return bytes(cv2.imencode(f".{kind}", np.ascontiguousarray(pixels.transpose(1, 2, 0)))[1])
    file = io.BytesIO()
    image = Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels[::-1].transpose(1, 2, 0)))
    image.save(file, "JPEG" if kind in ("jpg", "jpeg") else kind.upper(), quality=95)
    return file.getvalue()


def check_interpolation(interpolation: Interpolation) -> None:
    """Raises UnsupportedError for those that only OpenCV has, without it."""
    if interpolation not in ("linear", "nearest") and opencv() is None:
        raise UnsupportedError(f"interpolation {interpolation} needs OpenCV: pip install 'bittrue[vision]'")


def resized(x: Array, height: int, width: int, interpolation: Interpolation = "linear") -> Array:
    """Pictures (.., H, W) of uint8 or float32 in another size, of the same type.

    Raises UnsupportedError as `check_interpolation` does.
    """
    if x.shape[-2:] == (height, width):
        return x
    check_interpolation(interpolation)
    cv2 = opencv()
    if cv2 is not None:
        flag = getattr(cv2, f"INTER_{interpolation.upper()}")
        planes = [cv2.resize(p, (width, height), interpolation=flag) for p in x.reshape(-1, *x.shape[-2:])]
        return np.stack(planes).reshape(*x.shape[:-2], height, width)
    return resized_by_rule(x, height, width, nearest=interpolation == "nearest")


def resized_by_rule(x: Array, height: int, width: int, *, nearest: bool = False) -> Array:
    """Bilinear with pixel centres at half, or nearest, in binary32: OpenCV's rules without its fixed-point weights."""
    result = _axis(_axis(x, x.ndim - 2, height, nearest), x.ndim - 1, width, nearest)
    return result if nearest or x.dtype != np.uint8 else np.rint(result).astype(np.uint8)


def _axis(x: Array, axis: int, length: int, nearest: bool) -> Array:
    size = x.shape[axis]
    if nearest:
        return np.take(x, np.minimum((np.arange(length) * (size / length)).astype(np.int64), size - 1), axis)
    at = np.clip((np.arange(length) + 0.5) * (size / length) - 0.5, 0, size - 1)
    low = at.astype(np.int64)
    part = (at - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(x.ndim)])
    a, b = (np.take(x, i, axis).astype(np.float32) for i in (low, np.minimum(low + 1, size - 1)))
    return a + (b - a) * part
