"""FloatUnary: a function of one binary32 value.

functions = ieee is evaluated in extended precision here and in double by the core; both are rounded to binary32 once.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bittrue.graph.ir import Node, TensorType
from bittrue.ops import floats
from bittrue.ops.floats import MODE, Mode, maximum, minimum
from bittrue.ops.registry import Array, op

F = np.float32


def _each(function: Callable[[float], float]) -> Callable[[Any], Any]:
    """A function of Python floats on every element."""
    return np.vectorize(function, otypes=[np.float64])


_erf, _erfc = _each(math.erf), _each(math.erfc)


def _softplus(x: Any) -> Any:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _exact(kind: str, x: Any, alpha: np.float32, beta: np.float32) -> Any:
    """The function in extended precision."""
    if kind == "sigmoid":
        return 1 / (1 + np.exp(-x))
    if kind == "elu":
        return np.where(x > 0, x, np.longdouble(alpha) * np.expm1(x))
    if kind == "erf":
        return _erf(x)
    if kind == "gelu":
        d = x.astype(np.float64)
        return 0.5 * d * _erfc(-d * math.sqrt(0.5))
    if kind == "silu":
        return x / (1 + np.exp(-x))
    if kind == "mish":
        return x * np.tanh(_softplus(x))
    if kind == "softplus":
        return _softplus(x)
    if kind in ("hard_sigmoid", "hard_swish"):
        d = x.astype(np.float64)
        hard = np.clip(np.float64(alpha) * d + np.float64(beta), 0, 1)
        return hard if kind == "hard_sigmoid" else d * hard
    if kind == "reciprocal":
        return 1 / x
    if kind == "rsqrt":
        return 1 / np.sqrt(x)
    if kind == "softsign":
        return x / (1 + np.abs(x))
    return {"tanh": np.tanh, "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "sin": np.sin, "cos": np.cos}[kind](x)


_DEFAULTS = {
    "leaky_relu": (0.01, 0.5),
    "clip": (-np.inf, np.inf),
    "hard_sigmoid": (0.2, 0.5),
    "hard_swish": (1 / 6, 0.5),
}


@op("FloatUnary", *MODE, "kind", "alpha", "beta", "functions")
def float_unary(node: Node, inputs: Sequence[Array | None], outputs: Sequence[TensorType]) -> Sequence[Array]:
    mode = Mode.of(node.attrs)
    steps = mode.steps
    x = mode.read(inputs[0])
    kind = node.attrs.get("kind", "relu")
    defaults = _DEFAULTS.get(kind, (1.0, 0.5))
    alpha, beta = F(node.attrs.get("alpha", defaults[0])), F(node.attrs.get("beta", defaults[1]))
    bm1684 = {"ieee": False, "bm1684": True}[node.attrs.get("functions", "ieee")]
    with np.errstate(all="ignore"):
        if kind == "relu":
            y = maximum(x, F(0))
        elif kind == "prelu":
            slope = mode.read(inputs[1]).reshape(-1, *[1] * (x.ndim - 2)) if x.ndim > 1 else mode.read(inputs[1])
            y = np.where(x > 0, x, steps.mul(x, slope))
        elif kind == "leaky_relu":
            y = np.where(x > 0, x, steps.mul(x, alpha))
        elif kind == "clip":
            y = minimum(maximum(x, alpha), beta)
        elif kind in ("abs", "neg", "floor", "ceil"):
            y = {"abs": np.abs, "neg": np.negative, "floor": np.floor, "ceil": np.ceil}[kind](x)
        elif kind == "round":
            y = np.rint(x)
        elif kind == "sign":
            y = np.where(x > 0, F(1), np.where(x < 0, F(-1), x))
        elif bm1684 and kind == "elu":
            y = floats.elu_taylor(x, alpha, steps)
        elif bm1684 and kind in _BM1684:
            y = _BM1684[kind](x, steps)
        else:
            y = np.asarray(_exact(kind, x.astype(np.longdouble), alpha, beta)).astype(np.float64).astype(F)
    return [mode.read(y)]


_BM1684 = {
    "exp": floats.exp_taylor,
    "sigmoid": floats.sigmoid_taylor,
    "tanh": floats.tanh_taylor,
    "reciprocal": floats.recip_newton,
    "rsqrt": floats.rsqrt_newton,
}
