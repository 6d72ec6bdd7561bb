"""Normalizations that became ops after the fixed opset, as the ops that define them."""

from __future__ import annotations

import numpy as np

from bittrue.importers.opset.writer import Writer, rule


@rule("GroupNormalization", since=18)
def group_normalization(w: Writer) -> None:
    """An instance normalization of the groups, then scale and offset: per group before opset 21, per channel since."""
    x, attrs = w.x, w.node.attrs
    groups, shape = attrs["num_groups"], w.shape(x)
    grouped = w.add("Reshape", [x, w.add_constant("groups", [shape[0], groups, -1])], "grouped")
    ones, zeros = w.like("ones", np.ones(groups)), w.like("zeros", np.zeros(groups))
    normal = w.add("InstanceNormalization", [grouped, ones, zeros], "normal", epsilon=attrs.get("epsilon", 1e-5))
    back = w.add("Reshape", [normal, w.add_constant("shape", shape)], "back")
    factors = []
    for position, what in ((1, "scale"), (2, "bias")):
        value = w.required(position, f"{what} values")
        per_channel = np.repeat(value, shape[1] // groups) if w.graph.opset < 21 else value
        factors.append(w.like(what, per_channel.reshape(-1, *[1] * (len(shape) - 2))))
    w.add("Add", [w.add("Mul", [back, factors[0]], "scaled"), factors[1]])


@rule("RMSNormalization", since=23)
def rms_normalization(w: Writer) -> None:
    x, attrs = w.x, w.node.attrs
    axis = attrs.get("axis", -1)
    axes = list(range(axis if axis < 0 else axis - len(w.shape(x)), 0))
    mean = w.add("ReduceMean", [w.add("Mul", [x, x], "squares")], "mean", axes=axes, keepdims=1)
    epsilon = w.like("epsilon", attrs.get("epsilon", 1e-5))
    root = w.add("Sqrt", [w.add("Add", [mean, epsilon], "sum")], "root")
    w.add("Mul", [w.add("Div", [x, root], "normal"), w.input(1)])
