"""BatchNormalization, and Mul, Add, Sub and Div by constants per channel, after Conv, ConvTranspose or Gemm go into
weights and bias; elsewhere BatchNormalization becomes Mul and Add per channel.

A whole chain is computed in float64 and rounded once. Only results that nothing else reads are folded.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bittrue.graph.ir import Graph, Node

Array = np.ndarray[Any, Any]
HOSTS = ("Conv", "ConvTranspose", "Gemm")
ARITHMETIC = ("Mul", "Add", "Sub", "Div")


def _batch_norm(graph: Graph, node: Node) -> tuple[Array, Array] | None:
    """Factor and offset per channel, or None where a parameter is not constant."""
    parameters = [graph.constants.get(i) for i in node.inputs[1:5]]
    if any(p is None for p in parameters):
        return None
    gamma, beta, mean, variance = (np.asarray(p, np.float64) for p in parameters)
    factor = gamma / np.sqrt(variance + node.attrs.get("epsilon", 1e-5))
    return factor, beta - mean * factor


def _arithmetic(graph: Graph, node: Node, x: str) -> tuple[Array, Array] | None:
    """Factor and offset of an operation of `x` with a constant per channel, or None."""
    other = node.inputs[1] if node.inputs[0] == x else node.inputs[0]
    constant = graph.constants.get(other)
    shape = graph.types[x].shape
    if constant is None or constant.ndim > len(shape) or graph.types[node.outputs[0]].shape != shape:
        return None
    if (node.op == "Div" and (node.inputs[0] != x or np.any(constant == 0))) or not np.all(np.isfinite(constant)):
        return None
    full = constant.astype(np.float64).reshape((1,) * (len(shape) - constant.ndim) + constant.shape)
    if any(d != 1 for axis, d in enumerate(full.shape) if axis != 1):
        return None
    c = np.broadcast_to(full.ravel(), (shape[1],))
    one, zero = np.ones(shape[1]), np.zeros(shape[1])
    if node.op == "Mul":
        return c, zero
    if node.op == "Div":
        return one / c, zero
    if node.op == "Add":
        return one, c
    return (one, -c) if node.inputs[0] == x else (-one, c)


def _scaled(host: Node, w: Array, factor: Array) -> Array:
    """The weight with a factor per output channel."""
    if host.op == "Conv":
        return w * factor.reshape(-1, *[1] * (w.ndim - 1))
    if host.op == "ConvTranspose":
        group = host.attrs.get("group", 1)
        per_input = np.repeat(factor.reshape(group, 1, -1), w.shape[0] // group, 1).reshape(w.shape[:2])
        return w * per_input.reshape(*w.shape[:2], *[1] * (w.ndim - 2))
    return w * factor


def _is_host(graph: Graph, node: Node | None) -> bool:
    return (
        node is not None
        and node.op in HOSTS
        and node.inputs[1] in graph.constants
        and (len(node.inputs) < 3 or not node.inputs[2] or node.inputs[2] in graph.constants)
        and (node.op != "Gemm" or not node.attrs)
    )


def fold_batch_norm(graph: Graph) -> None:
    producer, consumers = graph.producer(), graph.consumers()
    folded: dict[int, tuple[Node, Array, Array]] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        norm = node.op == "BatchNormalization"
        x = next((i for i in node.inputs if i in producer), "")
        if not norm and (node.op not in ARITHMETIC or not x):
            nodes.append(node)
            continue
        x = node.inputs[0] if norm else x
        host = producer.get(x)
        alone = len(consumers.get(x, [])) == 1 and x not in graph.outputs
        foldable = host is not None and _is_host(graph, host) and alone
        affine = _batch_norm(graph, node) if norm else (_arithmetic(graph, node, x) if foldable else None)
        if affine is None:
            nodes.append(node)
        elif foldable and host is not None:
            _, w, b = folded.get(id(host)) or _parameters(graph, host)
            folded[id(host)] = (host, _scaled(host, w, affine[0]), b * affine[0] + affine[1])
            host.outputs = list(node.outputs[:1])
            producer[host.outputs[0]] = host
        else:
            nodes.extend(_per_channel(graph, node, *affine))
    graph.nodes = nodes
    for host, w, b in folded.values():
        weight = graph.add_constant(f"{host.inputs[1]}/bn", w.astype(np.float32))
        host.inputs = [host.inputs[0], weight, graph.add_constant(f"{host.name}/bias_bn", b.astype(np.float32))]


def _parameters(graph: Graph, host: Node) -> tuple[Node, Array, Array]:
    w = graph.constants[host.inputs[1]].astype(np.float64)
    has_bias = len(host.inputs) > 2 and host.inputs[2]
    return host, w, graph.constants[host.inputs[2]].astype(np.float64) if has_bias else np.zeros(())


def _per_channel(graph: Graph, node: Node, factor: Array, offset: Array) -> list[Node]:
    x, y = node.inputs[0], node.outputs[0]
    shape = (-1, *[1] * (len(graph.types[x].shape) - 2))
    scaled = graph.unique_name(f"{y}/scaled")
    graph.types[scaled] = graph.types[y]
    factor_name = graph.add_constant(f"{node.name}/factor", factor.reshape(shape).astype(np.float32))
    offset_name = graph.add_constant(f"{node.name}/offset", offset.reshape(shape).astype(np.float32))
    return [
        Node("Mul", f"{node.name}/mul", [x, factor_name], [scaled]),
        Node("Add", node.name, [scaled, offset_name], [y]),
    ]
