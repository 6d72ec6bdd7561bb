"""Activations that became ops of their own, as the ops that define them."""

from __future__ import annotations

import math

from bittrue.importers.opset.writer import Writer, rule


@rule("Mish", since=18)
def mish(w: Writer) -> None:
    soft = w.add("Softplus", [w.x], "softplus")
    w.add("Mul", [w.x, w.add("Tanh", [soft], "gate")])


@rule("Gelu", since=20)
def gelu(w: Writer) -> None:
    x = w.x
    if w.node.attrs.get("approximate", "none") == "tanh":
        cube = w.add("Pow", [x, w.like("three", 3.0)], "cube")
        term = w.add("Mul", [cube, w.like("coefficient", 0.044715)], "term")
        total = w.add("Add", [x, term], "sum")
        inner = w.add("Tanh", [w.add("Mul", [total, w.like("factor", math.sqrt(2 / math.pi))], "scaled")], "tanh")
    else:
        inner = w.add("Erf", [w.add("Div", [x, w.like("root", math.sqrt(2))], "scaled")], "erf")
    gate = w.add("Add", [inner, w.like("one", 1.0)], "gate")
    product = w.add("Mul", [x, gate], "product")
    w.add("Mul", [product, w.like("half", 0.5)])


def _swish(w: Writer, output: str | None = None) -> str:
    x, alpha = w.x, w.node.attrs.get("alpha", 1.0)
    scaled = x if alpha == 1.0 else w.add("Mul", [x, w.like("alpha", alpha)], "scaled")
    return w.add("Mul", [x, w.add("Sigmoid", [scaled], "gate")], output)


@rule("Swish", since=24)
def swish(w: Writer) -> None:
    _swish(w)


@rule("SwiGLU", since=28)
def swiglu(w: Writer) -> None:
    w.add("Mul", [_swish(w, "swish"), w.input(1)])
