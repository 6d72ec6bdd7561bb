"""Recorded BM1684 layers as one-node graphs (arithmetic of the chip: half up, wrapping 32-bit sums, u8 after relu)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bittrue.devices.bm1684.replay import replay
from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.targets.bm1684.conformance_float import CASES as FLOAT_CASES
from bittrue.targets.factors import average_pool_factors

Array = np.ndarray[Any, Any]
Case = tuple[Graph, dict[str, Array], str]


def one_node(op: str, case: Mapping[str, Array], inputs: list[str], constants: list[str], **attrs: Any) -> Case:
    """A graph of one node that reads `inputs` as graph inputs and `constants` as constants; the output is y."""
    y = case["y"]
    graph = Graph(op, inputs=list(inputs), outputs=["y"], types={"y": TensorType(y.dtype.name, y.shape)})
    for name in inputs:
        graph.types[name] = TensorType(case[name].dtype.name, case[name].shape)
    for name in constants:
        graph.add_constant(name, case[name])
    graph.nodes = [Node(op, op, [*inputs, *constants], ["y"], attrs, "bittrue")]
    return graph, {name: case[name] for name in inputs}, "y"


def number(case: Mapping[str, Array], key: str) -> int:
    return int(case[key])


def numbers(case: Mapping[str, Array], key: str) -> list[int]:
    return [int(v) for v in case[key]]


def window(case: Mapping[str, Array]) -> dict[str, Any]:
    """Strides and pads; recorded pads are top, bottom, left, right."""
    top, bottom, left, right = numbers(case, "pads")
    return {"strides": numbers(case, "stride"), "pads": [top, left, bottom, right]}


def shifted(case: Mapping[str, Array]) -> dict[str, Any]:
    return {"acc": "wrap32", "requant": "shift", "shift": [number(case, "rshift")], "rounding": "half_up"}


def weights(case: Mapping[str, Array]) -> list[str]:
    return ["w", "bias"] if number(case, "has_bias") else ["w"]


def lower_clamp(case: Mapping[str, Array]) -> dict[str, Any]:
    return {"clamp_min": 0} if number(case, "relu") else {}


def conv2d(case: Mapping[str, Array]) -> Case:
    attrs = {"dilations": numbers(case, "dilation"), "group": number(case, "groups")}
    return one_node("Conv2d", case, ["x"], weights(case), **window(case), **attrs, **shifted(case))


def depthwise(case: Mapping[str, Array]) -> Case:
    return one_node("Conv2d", case, ["x"], weights(case), **window(case), group=case["x"].shape[1], **shifted(case))


def deconv(case: Mapping[str, Array]) -> Case:
    case = {**case, "w": np.ascontiguousarray(case["w"].transpose(1, 0, 2, 3))}
    attrs = {"output_padding": [number(case, "output_padding")] * 2} if case["output_padding"].ndim == 0 else {}
    return one_node("ConvTranspose2d", case, ["x"], weights(case), **window(case), **attrs, **shifted(case))


def max_pool(case: Mapping[str, Array]) -> Case:
    attrs = {"kernel": numbers(case, "kernel"), **window(case), **lower_clamp(case)}
    return one_node("MaxPool2d", case, ["x"], [], **attrs)


def avg_pool(case: Mapping[str, Array]) -> Case:
    kernel = numbers(case, "kernel")
    multiplier, shift = average_pool_factors(kernel[0] * kernel[1])
    shift += number(case, "extra_rshift")
    requant = {"requant": "multiplier_shift", "multiplier": [multiplier], "shift": [shift], "rounding": "half_up"}
    return one_node("AvgPool2d", case, ["x"], [], kernel=kernel, **window(case), **requant)


def fully_connected(case: Mapping[str, Array]) -> Case:
    return one_node("MatMul", case, ["x"], weights(case), **shifted(case))


def input_scaling(multiplier: list[int], shift: list[int]) -> dict[str, Any]:
    return {
        "input_requant": "multiplier_shift",
        "input_multiplier": multiplier,
        "input_shift": shift,
        "input_rounding": "half_up",
    }


def eltwise_add(case: Mapping[str, Array]) -> Case:
    names = [f"x{i}" for i in range(number(case, "n_inputs"))]
    signed = case["x0"].dtype == np.int8
    lo, hi = (-128, 127) if signed else (0, 255)
    attrs: dict[str, Any] = {"saturate_each": 1, "intermediate_min": lo, "intermediate_max": hi}
    return one_node("Add", case, names, [], **attrs, **input_scaling(numbers(case, "coeff"), numbers(case, "rshift")))


def binary(case: Mapping[str, Array]) -> Case:
    kind = str(case["op_name"])
    scales = [number(case, "scale_a"), number(case, "scale_b")]
    shifts = [number(case, "rshift_a"), number(case, "rshift_b")]
    if kind == "mul":
        requant = {"requant": "multiplier_shift", "multiplier": [scales[0]], "shift": [sum(shifts)]}
        return one_node("Mul", case, ["a", "b"], [], **requant)
    op = {"add": "Add", "sub": "Add", "max": "Maximum", "min": "Minimum"}[kind]
    signs = {"signs": [1, -1]} if kind == "sub" else {}
    return one_node(op, case, ["a", "b"], [], **signs, **input_scaling(scales, shifts))


def prelu(case: Mapping[str, Array]) -> Case:
    return one_node("Prelu", case, ["x"], ["slope"], negative_requant="shift", negative_shift=[number(case, "rshift")])


def relu(case: Mapping[str, Array]) -> Case:
    return one_node("Clip", case, ["x"], [], clamp_min=0)


def scale(case: Mapping[str, Array]) -> Case:
    unsigned = all(case[k].dtype.kind == "u" for k in ("x", "scale", "bias"))
    lo, hi = (0, 65535) if unsigned else (-32768, 32767)
    if number(case, "relu"):
        lo, hi = 0, 32767
    shift = [-s for s in numbers(case, "lshift")]
    return one_node(
        "ChannelScale",
        case,
        ["x"],
        ["scale", "bias"],
        intermediate_min=lo,
        intermediate_max=hi,
        shift=shift,
        wrap_unsigned=int(case["y"].dtype == np.uint8),
    )


def mul_shift(case: Mapping[str, Array]) -> Case:
    requant = {"multiplier": [number(case, "multiplier")], "shift": [number(case, "rshift")]}
    return one_node("Requantize", case, ["x"], [], requant="multiplier_shift", **requant)


def lookup(case: Mapping[str, Array]) -> Case:
    return one_node("Lookup", case, ["x"], ["table"])


CASES: dict[str, Callable[[Mapping[str, Array]], Case]] = {
    "conv2d_int8": conv2d,
    "depthwise_int8": depthwise,
    "deconv_int8": deconv,
    "maxpool_int8": max_pool,
    "avgpool_int8": avg_pool,
    "fc_int8": fully_connected,
    "eltwise_add_int8": eltwise_add,
    "binary_int8": binary,
    "prelu_int8": prelu,
    "relu_int8": relu,
    "scale_int8": scale,
    "mulshift_int8": mul_shift,
    "lut_int8": lookup,
    **FLOAT_CASES,
}

# Runs recorded command streams.
REPLAY = replay
