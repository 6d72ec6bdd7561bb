"""A float graph as layers of Caffe, as far as Caffe has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.errors import UnsupportedError
from bittrue.graph.ir import Graph, Node
from bittrue.importers.caffe.schema import new_message
from bittrue.vendor.sophgo.umodel import Network

Array = np.ndarray[Any, Any]
# Passes that join layers which a umodel must keep apart, for the options of calibration.
KEPT_APART = ("fold_batch_norm", "fuse_activation", "merge_reshapes", "recognise_activations")


class NoLayerError(Exception):
    """Caffe has no layer for a node; the message is the reason."""


class Writer:
    """Adds the layers of one node."""

    def __init__(self, graph: Graph, net: Network, node: Node) -> None:
        self.graph, self.net, self.node = graph, net, node

    def shape(self, tensor: str) -> tuple[int, ...]:
        return self.graph.types[tensor].shape

    @property
    def x(self) -> str:
        return self.node.inputs[0]

    def attr(self, name: str, default: Any = None) -> Any:
        return self.node.attrs.get(name, default)

    def constant(self, position: int) -> Array:
        """A constant input. Raises NoLayerError if it is computed or absent."""
        name = self.node.inputs[position] if position < len(self.node.inputs) else ""
        if name not in self.graph.constants:
            raise NoLayerError(f"input {position} is not constant")
        return self.graph.constants[name]

    def computed(self) -> list[str]:
        return [i for i in self.node.inputs if i and i not in self.graph.constants]

    def add(
        self,
        kind: str,
        bottoms: Sequence[str] | None = None,
        *,
        blobs: Sequence[Array] = (),
        suffix: str = "",
        top: str = "",
    ) -> Any:
        """A layer of the node's name; the result is the node's unless `top` names another."""
        name = self.node.name + suffix
        layer = self.net.proto.layer.add(name=name, type=kind)
        layer.bottom.extend([self.x] if bottoms is None else bottoms)
        layer.top.extend([top] if top else self.node.outputs)
        if blobs:
            self.net.weights[name] = [np.ascontiguousarray(b, np.float32) for b in blobs]
        return layer


RULES: dict[str, Callable[[Writer], None]] = {}


def rule(*ops: str) -> Callable[[Callable[[Writer], None]], Callable[[Writer], None]]:
    def register(function: Callable[[Writer], None]) -> Callable[[Writer], None]:
        RULES.update(dict.fromkeys(ops, function))
        return function

    return register


def to_caffe(graph: Graph, model: Path) -> Network:
    """The layers and weights of a float graph. model: the file it is of.

    Raises UnsupportedError that lists every node that no layer of Caffe stands for.
    """
    net = Network(new_message("NetParameter"), {}, model, model)
    net.proto.name = graph.name
    problems = []
    for name in graph.inputs:
        type_ = graph.types[name]
        if type_.dtype != "float32":
            problems.append(f"input '{name}': {type_.dtype}")
        net.proto.layer.add(name=name, type="Input", top=[name]).input_param.shape.add(dim=type_.shape)
    for node in graph.nodes:
        try:
            if node.op not in RULES:
                raise NoLayerError("no such layer")
            RULES[node.op](Writer(graph, net, node))
        except NoLayerError as e:
            problems.append(f"{node.name} ({node.op}): {e}")
    problems += [f"output '{o}': a constant" for o in graph.outputs if o in graph.constants]
    read = graph.consumers()  # Caffe returns what nothing reads
    problems += [f"output '{o}': layer '{read[o][0].name}' reads it as well" for o in graph.outputs if o in read]
    if problems:
        raise UnsupportedError(f"{model}: {len(problems)} node(s) have no layer in Caffe: {'; '.join(problems)}")
    return net


def _window(w: Writer, p: Any) -> None:
    """Kernel, stride and pad of a two-dimensional window."""
    kernel, strides, pads = w.attr("kernel_shape"), w.attr("strides"), w.attr("pads")
    if len(kernel) != 2:
        raise NoLayerError("only windows of two dimensions")
    if pads[:2] != pads[2:]:
        raise NoLayerError(f"padding {pads} is not symmetric")
    for name, values in (("kernel", kernel), ("stride", strides), ("pad", pads)):
        setattr(p, f"{name}_h", values[0])
        setattr(p, f"{name}_w", values[1])


@rule("Conv", "ConvTranspose")
def _convolution(w: Writer) -> None:
    weight = w.constant(1)
    transposed = w.node.op == "ConvTranspose"
    if transposed and any(w.attr("output_padding", [])):
        raise NoLayerError("output_padding")
    if weight.ndim != 4:
        raise NoLayerError("only windows of two dimensions")
    bias = [w.constant(2)] if len(w.node.inputs) > 2 and w.node.inputs[2] else []
    layer = w.add("Deconvolution" if transposed else "Convolution", blobs=[weight, *bias])
    p = layer.convolution_param
    _window(w, p)
    p.num_output = weight.shape[1] * w.attr("group") if transposed else weight.shape[0]
    p.group, p.bias_term = w.attr("group"), bool(bias)
    p.dilation.extend(w.attr("dilations"))


@rule("Gemm", "MatMul")
def _inner_product(w: Writer) -> None:
    if w.node.attrs:
        raise NoLayerError("transA, or factors that are computed")
    weight, rank = w.constant(1), len(w.shape(w.x))
    if weight.ndim != 2:
        raise NoLayerError("the right operand is no matrix")
    bias = [np.broadcast_to(w.constant(2).ravel(), weight.shape[1:])] if len(w.node.inputs) > 2 else []
    p = w.add("InnerProduct", blobs=[weight.T, *bias]).inner_product_param
    p.num_output, p.bias_term, p.axis = weight.shape[1], bool(bias), rank - 1


@rule("MaxPool", "AveragePool")
def _pooling(w: Writer) -> None:
    if len(w.node.outputs) > 1 or any(d != 1 for d in w.attr("dilations", [])):
        raise NoLayerError("indices or dilations")
    average, pads = w.node.op == "AveragePool", w.attr("pads")
    p = w.add("Pooling").pooling_param
    _window(w, p)
    if average and any(pads) and not w.attr("count_include_pad", 0):
        raise NoLayerError("padding that is not counted")
    p.pool = int(average)
    p.round_mode = 0 if w.attr("ceil_mode", 0) else 1


@rule("BatchNormalization")
def _batch_norm(w: Writer) -> None:
    gain, offset, mean, variance = (w.constant(k) for k in range(1, 5))
    normed = f"{w.node.outputs[0]}/normed"
    layer = w.add("BatchNorm", blobs=[mean, variance, np.ones(1)], suffix="/norm", top=normed)
    layer.batch_norm_param.eps, layer.batch_norm_param.use_global_stats = w.attr("epsilon", 1e-5), True
    w.add("Scale", [normed], blobs=[gain, offset]).scale_param.bias_term = True


ACTIVATIONS = {"Relu": "ReLU", "Sigmoid": "Sigmoid", "Tanh": "TanH", "Abs": "AbsVal"}


@rule(*ACTIVATIONS)
def _activation(w: Writer) -> None:
    w.add(ACTIVATIONS[w.node.op])


@rule("LeakyRelu")
def _leaky_relu(w: Writer) -> None:
    w.add("ReLU").relu_param.negative_slope = w.attr("alpha", 0.01)


@rule("PRelu")
def _prelu(w: Writer) -> None:
    slope, channels = w.constant(1).ravel(), w.shape(w.x)[1]
    if slope.size not in (1, channels):
        raise NoLayerError("the slope is not one value per channel")
    w.add("PReLU", blobs=[slope]).prelu_param.channel_shared = slope.size == 1


@rule("Elu")
def _elu(w: Writer) -> None:
    w.add("ELU").elu_param.alpha = w.attr("alpha", 1.0)


@rule("Clip")
def _clip(w: Writer) -> None:
    if "min" not in w.node.attrs or "max" not in w.node.attrs:
        raise NoLayerError("without two constant bounds")
    if (w.attr("min"), w.attr("max")) == (0, 6):
        w.add("ReLU6")
        return
    p = w.add("Clip").clip_param
    p.min, p.max = w.attr("min"), w.attr("max")


@rule("Exp", "Log")
def _exponential(w: Writer) -> None:
    w.add(w.node.op)


@rule("Sqrt", "Neg")
def _power(w: Writer) -> None:
    p = w.add("Power").power_param
    if w.node.op == "Sqrt":
        p.power = 0.5
    else:
        p.scale = -1


@rule("Add", "Sum", "Sub", "Mul", "Max")
def _eltwise(w: Writer) -> None:
    operands = w.computed()
    if len(operands) < len(w.node.inputs):
        _with_constant(w, operands)
        return
    if any(w.shape(o) != w.shape(w.x) for o in operands):
        raise NoLayerError("operands of different shapes")
    p = w.add("Eltwise", operands).eltwise_param
    p.operation = {"Mul": 0, "Max": 2}.get(w.node.op, 1)
    if w.node.op == "Sub":
        p.coeff.extend([1, -1])


def _with_constant(w: Writer, operands: list[str]) -> None:
    """A tensor with one number, or with one a channel."""
    if w.node.op == "Max" or len(operands) != 1 or len(w.node.inputs) != 2:
        raise NoLayerError("a constant operand")
    x = operands[0]
    value = w.constant(1 - w.node.inputs.index(x)).astype(np.float64)
    sign = 1
    if w.node.op == "Sub":
        if w.node.inputs[0] == x:
            value = -value
        else:
            sign = -1
    if value.size == 1:
        p = w.add("Power", [x]).power_param
        if w.node.op == "Mul":
            p.scale = float(value.ravel()[0])
        else:
            p.scale, p.shift = sign, float(value.ravel()[0])
        return
    shape = w.shape(x)
    full = (*[1] * (len(shape) - value.ndim), *value.shape)
    channels = len(shape) > 1 and full[1] == shape[1] == value.size
    if not channels or sign < 0 or w.shape(w.node.outputs[0]) != shape:
        raise NoLayerError("a constant that is not one value, or one a channel")
    if w.node.op == "Mul":
        w.add("Scale", [x], blobs=[value.ravel()])
    else:
        w.add("Bias", [x], blobs=[value.ravel()])


@rule("Concat")
def _concat(w: Writer) -> None:
    if len(w.computed()) < len(w.node.inputs):
        raise NoLayerError("a constant input")
    w.add("Concat", w.node.inputs).concat_param.axis = w.attr("axis")


@rule("Split")
def _split(w: Writer) -> None:
    p, axis = w.add("Slice").slice_param, w.attr("axis", 0)
    p.axis = axis
    p.slice_point.extend(np.cumsum([w.shape(o)[axis] for o in w.node.outputs])[:-1].tolist())


@rule("Slice")
def _slice(w: Writer) -> None:
    """A range of one axis: the other parts are results that nothing reads."""
    before, after = w.shape(w.x), w.shape(w.node.outputs[0])
    axes = [a for a, (m, n) in enumerate(zip(before, after, strict=True)) if m != n]
    if len(axes) != 1 or (len(w.node.inputs) > 4 and np.any(w.constant(4) != 1)):
        raise NoLayerError("several axes, or steps")
    (axis,) = axes
    position = [int(a) % len(before) for a in w.constant(3)].index(axis) if len(w.node.inputs) > 3 else axis
    start = int(w.constant(1)[position])
    start = start + before[axis] if start < 0 else start
    points = [p for p in (start, start + after[axis]) if 0 < p < before[axis]]
    layer = w.add("Slice")
    layer.slice_param.axis = axis
    layer.slice_param.slice_point.extend(points)
    unread = [f"{w.node.outputs[0]}/unread{k}" for k in range(len(points))]
    tops = [*unread[:1], w.node.outputs[0], *unread[1:]] if start else [w.node.outputs[0], *unread]
    del layer.top[:]
    layer.top.extend(tops)
    w.add("Silence", unread, suffix="/silence").ClearField("top")


@rule("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def _reshape(w: Writer) -> None:
    shape, before = w.shape(w.node.outputs[0]), w.shape(w.x)
    keeps_batch = shape[:1] == before[:1]  # then the layer does not depend on the batch
    w.add("Reshape").reshape_param.shape.dim.extend([0, *shape[1:]] if keeps_batch else shape)


@rule("Transpose")
def _permute(w: Writer) -> None:
    rank = len(w.shape(w.x))
    w.add("Permute").permute_param.order.extend(w.attr("perm", list(range(rank))[::-1]))


@rule("Softmax")
def _softmax(w: Writer) -> None:
    w.add("Softmax").softmax_param.axis = w.attr("axis", -1)


@rule("LRN")
def _lrn(w: Writer) -> None:
    p = w.add("LRN").lrn_param
    p.local_size, p.alpha = w.attr("size"), w.attr("alpha", 1e-4)
    p.beta, p.k = w.attr("beta", 0.75), w.attr("bias", 1.0)


@rule("Resize")
def _upsample(w: Writer) -> None:
    before, after = w.shape(w.x), w.shape(w.node.outputs[0])
    whole = len(before) == 4 and before[:2] == after[:2] and all(n % m == 0 for m, n in zip(before, after, strict=True))
    if not whole or w.attr("mode", "nearest") != "nearest":
        raise NoLayerError("not to nearest elements by whole factors")
    p = w.add("Upsample").upsample_param
    p.scale_h, p.scale_w = after[2] // before[2], after[3] // before[3]


@rule("Tile")
def _tile(w: Writer) -> None:
    repeats = w.constant(1).tolist()
    axes = [a for a, n in enumerate(repeats) if n != 1]
    if len(axes) != 1:
        raise NoLayerError("several axes")
    p = w.add("Tile").tile_param
    p.axis, p.tiles = axes[0], int(repeats[axes[0]])


@rule("Identity", "Dropout")
def _copy(w: Writer) -> None:
    w.add("Split")
