"""Decompositions of a real factor into an integer multiplier and a shift, as the Sophgo compilers derive them.

Evidence: D1-D6 [source: tpu-mlir's published lowering], average-pool factors [measured for 1..225 taps].
round() is half away from zero; binary32 steps are marked.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

INT8_LIMIT = 127
INT32_LIMIT = 2**31 - 1


def round_away(v: float) -> int:
    """round half away from zero of a double."""
    return math.floor(v + 0.5) if v >= 0 else -math.floor(-v + 0.5)


@lru_cache(maxsize=1 << 17)  # searches over layer precisions lower the same network many times
def _best_multiplier(s: float, bits: int, shifts: range) -> tuple[int, int]:
    # s is binary32, the products are exact in double, the error is compared in binary32.
    s = float(np.float32(s))
    limit = INT8_LIMIT if bits == 8 else INT32_LIMIT
    best, result = np.float32(np.inf), (0, shifts[0])
    for n in shifts:
        m = round_away(s * 2.0**n)
        if abs(m) >= limit:
            continue
        error = np.float32(abs(m / 2.0**n - s))
        if error < best:
            best, result = error, (m, n)
    return result


def multiplier_and_shift(s: float, bits: int) -> tuple[int, int]:
    """D1: (m, n) with s = m/2^n, n in -32..30, |m| < 127 (bits 8) or < 2^31-1 (bits 32)."""
    return _best_multiplier(s, bits, range(-32, 31))


def multiplier_and_right_shift(s: float, bits: int) -> tuple[int, int]:
    """D2: as D1 with n in 0..30."""
    return _best_multiplier(s, bits, range(0, 31))


def weight_shift(w: float, sx: float, sy: float) -> int:
    """D3: the shift that brings w*sx/sy into [63.5, 127); -1 if it is 127 or more already, 31 at most."""
    v = w * sx / sy
    if v <= 0:
        return 0
    k = 0
    while v < 127:
        v *= 2
        k += 1
        if k > 32:
            return 31
    return k - 1


def coefficient_shift(c: float, sx: float, sy: float) -> int:
    """D4: floor(log2(127 / (|c|*sx/sy))), at most 31; may be negative."""
    v = abs(c) * sx / sy
    if v == 0:
        return 31
    return min(31, math.floor(math.log(127 / v) / math.log(2)))


def quantized_multiplier(s: float) -> tuple[int, int]:
    """D5: (M, e) with s = M/2^31 * 2^e, M in [2^30, 2^31)."""
    if s == 0:
        return 0, 0
    q, e = math.frexp(s)
    m = round_away(q * 2.0**31)
    if m == 2**31:
        m, e = m // 2, e + 1
    if e < -31:
        return 0, 0
    if e > 30:
        return INT32_LIMIT, 30
    return m, e


def truncated_multiplier(s: float, largest: int = 127) -> tuple[int, int]:
    """D6: (m, r), m = trunc(s*2^r) with the smallest r that makes s*2^(r+1) reach `largest`."""
    if s > largest:
        return largest, 0
    for r in range(63):
        if s * 2.0 ** (r + 1) >= largest:
            return int(s * 2.0**r), r
    return 0, 0


def average_pool_factors(taps: int) -> tuple[int, int]:
    """(M, S) with 1/taps = M/2^S: the largest S whose M = floor(2^S/taps + 1/2) is at most 255, lowest terms."""
    shift = 0
    while (2 ** (shift + 1) * 2 + taps) // (2 * taps) <= 255:
        shift += 1
    m = (2**shift * 2 + taps) // (2 * taps)
    while m % 2 == 0 and shift > 0:
        m, shift = m // 2, shift - 1
    return m, shift
