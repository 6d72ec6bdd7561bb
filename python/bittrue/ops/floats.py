"""numpy twin of csrc/arith/float_format.h and float_functions.h, written independently: flushing binary32 steps,
narrow formats, and the float functions of BM1684.

Every function takes and returns float32 arrays; a step is one rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[Any]
F = np.float32

MODE = ("flush", "format")

_TINY = 2.0**-126 - 2.0**-151  # below this, a result rounded with an unlimited exponent is subnormal


def flush_subnormal(v: Any) -> FloatArray:
    """Subnormals become zero of their sign."""
    v = np.asarray(v, F)
    return np.where(np.abs(v) < F(2.0**-126), np.copysign(F(0), v), v)


@dataclass(frozen=True)
class Steps:
    """Single binary32 operations, with or without flushing. Operands must be flushed already."""

    flush: bool

    def add(self, a: Any, b: Any) -> FloatArray:
        with np.errstate(all="ignore"):
            result = np.add(a, b, dtype=F)
        return flush_subnormal(result) if self.flush else result

    def sub(self, a: Any, b: Any) -> FloatArray:
        return self.add(a, np.negative(np.asarray(b, F)))

    def mul(self, a: Any, b: Any) -> FloatArray:
        with np.errstate(all="ignore"):
            result = np.multiply(a, b, dtype=F)
            if not self.flush or not ((np.abs(result) <= F(2.0**-126)) & (result != 0)).any():
                return result
            exact = np.multiply(a, b, dtype=np.float64)
        return np.where(np.abs(exact) < _TINY, np.copysign(F(0), result), result)

    def div(self, a: Any, b: Any) -> FloatArray:
        with np.errstate(all="ignore"):
            result = np.divide(a, b, dtype=F)
            if not self.flush:
                return result
            quotient = np.divide(a, b, dtype=np.float64)
        return np.where(np.abs(quotient) < _TINY, np.copysign(F(0), result), result)


def maximum(a: Any, b: Any) -> FloatArray:
    """a > b ? a : b"""
    with np.errstate(invalid="ignore"):
        return np.where(np.greater(a, b), a, b).astype(F)


def minimum(a: Any, b: Any) -> FloatArray:
    """a <= b ? a : b"""
    with np.errstate(invalid="ignore"):
        return np.where(np.less_equal(a, b), a, b).astype(F)


@dataclass(frozen=True)
class Mode:
    """The attributes flush and format of a node."""

    flush: bool
    format: str

    @classmethod
    def of(cls, attrs: Mapping[str, Any]) -> Mode:
        name = attrs.get("format", "float32")
        if name not in ("float32", "float16", "bfloat16"):
            raise ValueError(f"unknown format '{name}'")
        return cls(bool(attrs.get("flush", 0)), name)

    @property
    def steps(self) -> Steps:
        return Steps(self.flush)

    def read(self, v: Any) -> FloatArray:
        """A value as the op sees or stores it."""
        v = np.asarray(v, F)
        if self.flush:
            v = flush_subnormal(v)
        if self.format == "float32":
            return v
        narrow = np.float16 if self.format == "float16" else ml_dtypes.bfloat16
        with np.errstate(all="ignore"):
            return v.astype(narrow).astype(F)


def fused_relu(v: FloatArray, attrs: Mapping[str, Any]) -> FloatArray:
    """The attributes relu and relu_max of a float op."""
    if attrs.get("relu", 0):
        v = maximum(v, F(0))
    limit = F(attrs.get("relu_max", 0.0))
    return minimum(v, limit) if limit > 0 else v


def reciprocal_count(n: Any) -> FloatArray:
    """fl(1/n)"""
    return np.divide(F(1), np.asarray(n, F), dtype=F)


def rsqrt_newton(x: FloatArray, steps: Steps) -> FloatArray:
    bits = np.ascontiguousarray(x, F).view(np.uint32)
    y = (np.uint32(0x5F3759DF) - (bits >> np.uint32(1))).astype(np.uint32).view(F)
    if steps.flush:
        y = flush_subnormal(y)
    half = steps.mul(x, F(0.5))
    for _ in range(3):
        y = steps.mul(y, steps.sub(F(1.5), steps.mul(steps.mul(half, y), y)))
    return y


def recip_newton(b: FloatArray, steps: Steps) -> FloatArray:
    b = np.asarray(b, F)
    r = rsqrt_newton(np.abs(b), steps)
    return np.copysign(steps.mul(r, r), b)


def _series() -> list[np.float32]:
    terms = [F(1)]
    for k in range(1, 32):
        terms.append(F(terms[-1] / F(k + 1)))
    return terms


_COEFFICIENTS = _series()
_WHOLE = np.exp(np.arange(-103, 89, dtype=np.longdouble)).astype(F)


def exp_taylor(x: FloatArray, steps: Steps) -> FloatArray:
    x = minimum(maximum(x, F(-103)), F(88))
    i = np.trunc(x)
    r = steps.sub(x, i)
    p = np.zeros_like(x)
    for c in reversed(_COEFFICIENTS):
        p = steps.add(steps.mul(p, r), c)
    p = steps.add(steps.mul(p, r), F(1))
    whole = _WHOLE[i.astype(np.int64) + 103]
    return steps.mul(p, flush_subnormal(whole) if steps.flush else whole)


def sigmoid_taylor(x: FloatArray, steps: Steps) -> FloatArray:
    return recip_newton(steps.add(F(1), exp_taylor(-x, steps)), steps)


def tanh_taylor(x: FloatArray, steps: Steps) -> FloatArray:
    e = steps.add(exp_taylor(steps.mul(F(2), x), steps), F(1))
    return steps.sub(F(1), steps.mul(F(2), recip_newton(e, steps)))


def elu_taylor(x: FloatArray, alpha: np.float32, steps: Steps) -> FloatArray:
    return np.where(x > 0, x, steps.mul(alpha, steps.sub(exp_taylor(x, steps), F(1))))


def pad_planes(x: FloatArray, pads: tuple[int, int], size: tuple[int, int]) -> FloatArray:
    """(N,C,H,W) inside zeros. pads: rows above and columns left (negative crops); size: height, width of the result."""
    result = np.zeros((*x.shape[:2], *size), F)
    top, left = pads
    y0, x0 = max(top, 0), max(left, 0)
    part = x[:, :, max(-top, 0) :, max(-left, 0) :][:, :, : max(size[0] - y0, 0), : max(size[1] - x0, 0)]
    result[:, :, y0 : y0 + part.shape[2], x0 : x0 + part.shape[3]] = part
    return result


def window_size(out: tuple[int, int], kernel: Any, strides: Any, dilations: Any) -> tuple[int, int]:
    """Height and width that windows of an output of that size read."""
    h, w = ((o - 1) * s + (k - 1) * d + 1 for o, k, s, d in zip(out, kernel, strides, dilations, strict=True))
    return h, w


def tap(plane: FloatArray, ky: int, kx: int, out: tuple[int, int], strides: Any, dilations: Any) -> FloatArray:
    """What tap (ky, kx) of every output reads."""
    y0, x0 = ky * dilations[0], kx * dilations[1]
    rows = slice(y0, y0 + (out[0] - 1) * strides[0] + 1, strides[0])
    columns = slice(x0, x0 + (out[1] - 1) * strides[1] + 1, strides[1])
    return plane[..., rows, columns]


def convolve(
    planes: FloatArray,
    w: FloatArray,
    bias: FloatArray | None,
    out: tuple[int, int],
    strides: Any,
    dilations: Any,
    attrs: Mapping[str, Any],
) -> FloatArray:
    """Convolution of padded planes (N,C,..) with w (OC,C/group,KH,KW) in the order of attribute `order`."""
    steps, order, group = Steps(bool(attrs.get("flush", 0))), attrs.get("order", "plain"), attrs.get("group", 1)
    N, C = planes.shape[:2]
    OC, IC, KH, KW = w.shape
    x = planes.reshape(N, group, C // group, *planes.shape[2:])
    wg = w.reshape(group, OC // group, IC, KH, KW)
    sums = [np.zeros((N, group, OC // group, *out), F) for _ in range(4)]

    def accumulate(index: int, ic: int, ky: int, kx: int) -> None:
        if ic < IC:
            term = steps.mul(
                tap(x[:, :, ic, None], ky, kx, out, strides, dilations), wg[None, :, :, ic, ky, kx, None, None]
            )
        else:
            term = np.zeros((), F)
        sums[index] = steps.add(sums[index], term)

    if order == "pairs":
        places = [(ky, kx, ic) for ky in range(KH) for kx in range(KW) for ic in range(0, IC, 2)]
        for step, (ky, kx, ic) in enumerate(places):
            accumulate(step % 2, ic, ky, kx)
            accumulate(2 + step % 2, ic + 1, ky, kx)
        total = steps.add(steps.add(sums[0], sums[1]), steps.add(sums[2], sums[3]))
    elif order in ("plain", "alternate"):
        for step, (ic, ky, kx) in enumerate(np.ndindex(IC, KH, KW)):
            accumulate(step % 2 if order == "alternate" else 0, ic, ky, kx)
        total = steps.add(sums[0], sums[1]) if order == "alternate" else sums[0]
    else:
        raise ValueError(f"unknown order '{order}'")
    y = total.reshape(N, OC, *out)
    return y if bias is None else steps.add(y, bias[:, None, None])
