"""Float lowering: a float node as ops of "Float arithmetic of a device", with the rules of the target.

`FloatRules` holds what differs between devices; the mapping from ONNX is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bittrue.graph.host_ops import HOST_DOMAIN
from bittrue.graph.ir import Node, TensorType
from bittrue.quantize.context import Context, FallbackError
from bittrue.quantize.movement import MOVEMENT, resize

UNARY = {
    "Relu": "relu", "LeakyRelu": "leaky_relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Exp": "exp", "Elu": "elu",
    "Log": "log", "Sqrt": "sqrt", "Erf": "erf", "Gelu": "gelu", "Softplus": "softplus", "HardSigmoid": "hard_sigmoid",
    "HardSwish": "hard_swish", "Mish": "mish", "Abs": "abs", "Neg": "neg", "Floor": "floor", "Ceil": "ceil",
    "Round": "round", "Sin": "sin", "Cos": "cos", "Reciprocal": "reciprocal", "Sign": "sign", "Softsign": "softsign",
}  # fmt: skip
PATTERNS = {"Silu": "silu", "Mish": "mish", "HardSwish": "hard_swish"}
BINARY = {
    "Add": "add",
    "Sub": "sub",
    "Mul": "mul",
    "Div": "div",
    "Min": "min",
    "Max": "max",
    "Pow": "pow",
    "Sum": "add",
}
REDUCE = {
    "ReduceSum": "sum", "ReduceMean": "mean", "ReduceMax": "max", "ReduceMin": "min", "ReduceProd": "prod",
    "ReduceL1": "l1", "ReduceL2": "l2", "ReduceSumSquare": "sum_square",
}  # fmt: skip


@dataclass(frozen=True)
class FloatRules:
    """How a device computes in float; values are attributes of the ops."""

    flush: int
    format: str
    conv_order: str
    depthwise_order: str
    matmul_order: str
    pool_order: str
    functions: str
    division: str

    @property
    def mode(self) -> dict[str, Any]:
        return {"flush": self.flush, "format": self.format}


def relu_of(node: Node) -> dict[str, Any]:
    """Attributes relu and relu_max of a fused activation."""
    if not node.fused:
        return {}
    return {"relu": 1} | ({"relu_max": 6.0} if node.fused[0].op == "Clip" else {})


def _only_relu(ctx: Context, rules: FloatRules, node: Node, op: str, inputs: list[str], attrs: dict[str, Any]) -> None:
    # Ops without an upper limit run relu6 as a following clip.
    relu = relu_of(node)
    if "relu_max" not in relu:
        ctx.write_float(op, node, inputs, {**attrs, **rules.mode, **relu})
        return
    before = ctx.graph.unique_name(f"{node.outputs[0]}/unclipped")
    ctx.emit(
        op, f"{node.name}/unclipped", inputs, before, "float32", attrs={**attrs, **rules.mode}, like=node.outputs[0]
    )
    ctx.write_float("FloatUnary", node, [before], {"kind": "clip", "alpha": 0.0, "beta": 6.0, **rules.mode})


def _window(node: Node) -> dict[str, Any]:
    return {k: list(node.attrs[k]) for k in ("strides", "pads", "dilations") if k in node.attrs}


def conv(ctx: Context, rules: FloatRules, node: Node) -> None:
    inputs = [ctx.read_float(i) for i in node.inputs if i]
    group = node.attrs["group"]
    depthwise = group > 1 and group == ctx.shape(node.inputs[0])[1]
    if len(ctx.shape(node.inputs[0])) != 4:
        raise FallbackError("only one- and two-dimensional convolutions")
    attrs = _window(node) | {"group": group, "order": rules.depthwise_order if depthwise else rules.conv_order}
    ctx.write_float("FloatConv2d", node, inputs, {**attrs, **rules.mode, **relu_of(node)})


def conv_transpose(ctx: Context, rules: FloatRules, node: Node) -> None:
    if len(ctx.shape(node.inputs[0])) != 4:
        raise FallbackError("only one- and two-dimensional convolutions")
    inputs = [ctx.read_float(i) for i in node.inputs if i]
    attrs = _window(node) | {"group": node.attrs["group"], "order": rules.conv_order}
    attrs["output_padding"] = list(node.attrs["output_padding"])
    ctx.write_float("FloatConvTranspose2d", node, inputs, {**attrs, **rules.mode, **relu_of(node)})


def matmul(ctx: Context, rules: FloatRules, node: Node) -> None:
    if node.op == "Gemm" and node.attrs:
        raise FallbackError("Gemm with transA, or with computed factors")
    inputs = [ctx.read_float(i) for i in node.inputs if i]
    _only_relu(ctx, rules, node, "FloatMatMul", inputs, {"order": rules.matmul_order})


def overhangs(ctx: Context, node: Node) -> bool:
    """Whether ceil rounding lets the last window of a pool reach beyond input and padding."""
    x, y, a = ctx.shape(node.inputs[0]), ctx.shape(node.outputs[0]), node.attrs
    return any(
        (y[2 + d] - 1) * a["strides"][d] + a["kernel_shape"][d] > x[2 + d] + a["pads"][d] + a["pads"][2 + d]
        for d in (0, 1)
    )


def pool(ctx: Context, rules: FloatRules, node: Node) -> None:
    if len(ctx.shape(node.inputs[0])) != 4:
        raise FallbackError("only one- and two-dimensional pools")
    attrs = _window(node) | {"kernel": list(node.attrs["kernel_shape"])}
    op = "FloatMaxPool2d"
    if node.op == "AveragePool":
        op = "FloatAvgPool2d"
        attrs |= {"count_include_pad": node.attrs.get("count_include_pad", 0), "order": rules.pool_order}
        if overhangs(ctx, node):
            if attrs["count_include_pad"] and any(node.attrs["pads"]):
                raise FallbackError("counted padding together with windows beyond it (ceil_mode)")
            attrs["count_include_pad"] = 0
        elif not any(node.attrs["pads"]):
            attrs["count_include_pad"] = 1
    ctx.write_float(op, node, [ctx.read_float(node.inputs[0])], {**attrs, **rules.mode})


def unary(ctx: Context, rules: FloatRules, node: Node) -> None:
    kind = PATTERNS[node.attrs["pattern"]] if node.op == "Activation" else UNARY[node.op]
    attrs: dict[str, Any] = {"kind": kind, "functions": rules.functions, **rules.mode}
    defaults = {"leaky_relu": (0.01, 0.0), "elu": (1.0, 0.0), "hard_sigmoid": (0.2, 0.5), "hard_swish": (1 / 6, 0.5)}
    if kind in defaults:
        alpha, beta = defaults[kind]
        attrs |= {"alpha": float(node.attrs.get("alpha", alpha)), "beta": float(node.attrs.get("beta", beta))}
    if kind == "gelu" and node.attrs.get("approximate", "none") != "none":
        raise FallbackError("tanh form of Gelu in float")
    ctx.write_float("FloatUnary", node, [ctx.read_float(node.inputs[0])], attrs)


def prelu(ctx: Context, rules: FloatRules, node: Node) -> None:
    slope = ctx.constant(node.inputs[1])
    if slope is None or slope.size not in (1, ctx.shape(node.inputs[0])[1]):
        raise FallbackError("slope is not constant per channel")
    name = ctx.add_constant(f"{node.name}/slope", slope.ravel().astype(np.float32))
    ctx.write_float("FloatUnary", node, [ctx.read_float(node.inputs[0]), name], {"kind": "prelu", **rules.mode})


def clip(ctx: Context, rules: FloatRules, node: Node) -> None:
    if any(i and i not in ctx.source.constants for i in node.inputs[1:]):
        raise FallbackError("bounds are not constant")
    lo, hi = (float(node.attrs.get(k, v)) for k, v in (("min", -np.inf), ("max", np.inf)))
    attrs = {"kind": "clip", "alpha": max(lo, -3.4e38), "beta": min(hi, 3.4e38), **rules.mode}
    ctx.write_float("FloatUnary", node, [ctx.read_float(node.inputs[0])], attrs)


def binary(ctx: Context, rules: FloatRules, node: Node) -> None:
    attrs = {"kind": BINARY[node.op]} | ({"division": rules.division} if node.op == "Div" else {})
    running = ctx.read_float(node.inputs[0])
    if len(node.inputs) == 1:
        ctx.write_float("Reshape", node, [running], {})
        return
    for position, operand in enumerate(node.inputs[1:-1]):
        name = ctx.graph.unique_name(f"{node.outputs[0]}/partial_{position}")
        inputs = [running, ctx.read_float(operand)]
        running = ctx.emit(
            "FloatBinary", f"{node.name}/partial_{position}", inputs, name, "float32",
            attrs={**attrs, **rules.mode}, like=node.outputs[0],
        )  # fmt: skip
    _only_relu(ctx, rules, node, "FloatBinary", [running, ctx.read_float(node.inputs[-1])], attrs)


def softmax(ctx: Context, rules: FloatRules, node: Node) -> None:
    rank = len(ctx.shape(node.inputs[0]))
    attrs = {
        "axis": node.attrs.get("axis", -1) % rank,
        "log": int(node.op == "LogSoftmax"),
        "functions": rules.functions,
    }
    ctx.write_float("FloatSoftmax", node, [ctx.read_float(node.inputs[0])], {**attrs, **rules.mode})


def reduce(ctx: Context, rules: FloatRules, node: Node) -> None:
    rank = len(ctx.shape(node.inputs[0]))
    given = ctx.constant(node.inputs[1]) if len(node.inputs) > 1 and node.inputs[1] else node.attrs.get("axes")
    axes = sorted(int(a) % rank for a in given) if given is not None and len(given) else list(range(rank))
    attrs = {"kind": REDUCE[node.op], "axes": axes, "keepdims": node.attrs.get("keepdims", 1)}
    ctx.write_float("FloatReduce", node, [ctx.read_float(node.inputs[0])], {**attrs, **rules.mode})


def normalize(ctx: Context, rules: FloatRules, node: Node) -> None:
    rank = len(ctx.shape(node.inputs[0]))
    layer = node.op == "LayerNormalization"
    attrs: dict[str, Any] = {
        "kind": "layer" if layer else "instance",
        "epsilon": float(node.attrs.get("epsilon", 1e-5)),
    }
    if layer:
        attrs["axis"] = node.attrs.get("axis", -1) % rank
    ctx.write_float("FloatNormalize", node, [ctx.read_float(i) for i in node.inputs if i], {**attrs, **rules.mode})


def l2_normalize(ctx: Context, rules: FloatRules, node: Node) -> None:
    """x times the reciprocal root of the sum of squares, in binary32 on every target: sums and epsilon leave the range
    of narrow formats."""
    x, name = ctx.read_float(node.inputs[0]), node.name
    axes = node.attrs["axes"]
    shape = tuple(1 if a in axes else d for a, d in enumerate(ctx.shape(node.inputs[0])))
    type_ = TensorType("float32", shape)

    def step(what: str, op: str, inputs: list[str], attrs: dict[str, Any]) -> str:
        output = ctx.graph.unique_name(f"{node.outputs[0]}/{what}")
        return ctx.emit_shape(op, f"{name}/{what}", inputs, output, type_, {**attrs, "flush": rules.flush})

    total = step("sum", "FloatReduce", [x], {"kind": "sum_square", "axes": axes, "keepdims": 1})
    epsilon = ctx.add_constant(f"{name}/epsilon", np.asarray([node.attrs["epsilon"]], np.float32))
    total = step("sum_epsilon", "FloatBinary", [total, epsilon], {"kind": "add"})
    factor = step("factor", "FloatUnary", [total], {"kind": "rsqrt", "functions": rules.functions})
    ctx.write_float("FloatBinary", node, [x, factor], {"kind": "mul", "flush": rules.flush})


def roi_max_pool(ctx: Context, rules: FloatRules, node: Node) -> None:
    attrs = {"pooled": list(node.attrs["pooled_shape"]), "spatial_scale": float(node.attrs.get("spatial_scale", 1.0))}
    ctx.write_float("RoiMaxPool", node, [ctx.read_float(i) for i in node.inputs], attrs)


def lrn(ctx: Context, rules: FloatRules, node: Node) -> None:
    """x * (bias + alpha * mean of the squares of `size` neighbouring channels) ^ -beta; the mean is a pool along the
    channels of (N, 1, C, pixels), whose padding counts. In binary32 on every target, as `l2_normalize`."""
    source, tensor = node.inputs[0], node.outputs[0]
    x, (n, c, *rest), size = ctx.read_float(source), ctx.shape(source), node.attrs["size"]
    planes = TensorType("float32", (n, 1, c, int(np.prod(rest))))
    values = {"alpha": (1e-4, 1.0), "bias": (1.0, 1.0), "beta": (0.75, -1.0)}
    constants = {
        key: ctx.add_constant(f"{node.name}/{key}", np.asarray([sign * node.attrs.get(key, default)], np.float32))
        for key, (default, sign) in values.items()
    }

    def step(what: str, op: str, inputs: list[str], type_: TensorType, attrs: dict[str, Any]) -> str:
        output = ctx.graph.unique_name(f"{tensor}/{what}")
        return ctx.emit_shape(op, f"{node.name}/{what}", inputs, output, type_, attrs)

    def binary(what: str, inputs: list[str], kind: str) -> str:
        return step(what, "FloatBinary", inputs, planes, {"kind": kind, "flush": rules.flush})

    rows = step("planes", "Reshape", [x], planes, {})
    squares = binary("squares", [rows, rows], "mul")
    window = {"kernel": [size, 1], "strides": [1, 1], "pads": [(size - 1) // 2, 0, size // 2, 0], "dilations": [1, 1]}
    pool = {**window, "count_include_pad": 1, "order": rules.pool_order, "flush": rules.flush}
    means = step("means", "FloatAvgPool2d", [squares], planes, pool)
    sums = binary("shifted", [binary("scaled", [means, constants["alpha"]], "mul"), constants["bias"]], "add")
    normed = binary("normed", [rows, binary("factor", [sums, constants["beta"]], "pow")], "mul")
    ctx.write_float("Reshape", node, [normed], {})


def concat(ctx: Context, rules: FloatRules, node: Node) -> None:
    rank = len(ctx.shape(node.inputs[0]))
    ctx.write_float("Concat", node, [ctx.read_float(i) for i in node.inputs], {"axis": node.attrs["axis"] % rank})


def argmax(ctx: Context, rules: FloatRules, node: Node) -> None:
    x = node.inputs[0]
    source = ctx.quantized.get(x) or ctx.read_float(x)
    rank = len(ctx.shape(x))
    attrs = {"axis": node.attrs.get("axis", 0) % rank, "keepdims": node.attrs.get("keepdims", 1)}
    attrs["select_last_index"] = node.attrs.get("select_last_index", 0)
    tensor = node.outputs[0]
    ctx.emit("ArgMax", node.name, [source], tensor, "int64", attrs=attrs, like=tensor)
    ctx.floats[tensor] = tensor


def topk(ctx: Context, rules: FloatRules, node: Node) -> None:
    rank = len(ctx.shape(node.inputs[0]))
    attrs = {
        "axis": node.attrs.get("axis", -1) % rank,
        "largest": node.attrs.get("largest", 1),
        "sorted": 1,
        **rules.mode,
    }
    source = ctx.read_float(node.inputs[0])
    for o in node.outputs:
        ctx.graph.types[o] = ctx.source.types[o]
        ctx.floats[o] = o
    attrs["evidence"] = ctx.evidence
    ctx.graph.nodes.append(Node("TopK", node.name, [source], list(node.outputs), attrs, "bittrue"))


def cast(ctx: Context, rules: FloatRules, node: Node) -> None:
    """To the element type of the float graph; casts between float types are copies."""
    tensor = node.outputs[0]
    ctx.emit(
        "Cast",
        node.name,
        [ctx.read_float(node.inputs[0])],
        tensor,
        ctx.source.types[tensor].dtype,
        attrs={},
        like=tensor,
    )
    ctx.floats[tensor] = tensor


def where(ctx: Context, rules: FloatRules, node: Node) -> None:
    ctx.write_float("Where", node, [ctx.read_float(i) for i in node.inputs], {})


FLOAT_OPS = {
    "Conv": conv, "ConvTranspose": conv_transpose, "Gemm": matmul, "MatMul": matmul, "MaxPool": pool,
    "AveragePool": pool, "PRelu": prelu, "Clip": clip, "Softmax": softmax, "LogSoftmax": softmax,
    "LayerNormalization": normalize, "InstanceNormalization": normalize, "Concat": concat, "ArgMax": argmax,
    "TopK": topk, "Where": where, "Cast": cast, "Activation": unary,
    "LRN": lrn, "L2Normalize": l2_normalize, "MaxRoiPool": roi_max_pool,
    **dict.fromkeys(UNARY, unary), **dict.fromkeys(BINARY, binary), **dict.fromkeys(REDUCE, reduce),
}  # fmt: skip


def lower_float(ctx: Context, rules: FloatRules, node: Node) -> None:
    """Emits a float node. Raises FallbackError with the reason if the target has no float rule either."""
    if node.op in MOVEMENT:
        MOVEMENT[node.op](ctx, node)
    elif node.op == "Resize":
        resize(ctx, node)
    elif node.domain == HOST_DOMAIN:
        ctx.write_float(node.op, node, [ctx.read_float(i) for i in node.inputs], dict(node.attrs))
    elif node.op in FLOAT_OPS:
        FLOAT_OPS[node.op](ctx, rules, node)
    else:
        raise FallbackError("no implementation")
