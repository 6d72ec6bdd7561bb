"""Equalization of channel ranges between two layers, through activations that do not mind a positive factor.

For channel i with r1 = max |W1[i]| and r2 = max |W2[:, i]| the factor s = sqrt(r1 / r2) makes both ranges
sqrt(r1 * r2): W1[i] / s, b1[i] / s, W2[:, i] * s. Source: the published method of cross-layer equalization and
Sophgo's code of it. With powers of two no weight is rounded, and a shift of the chip can absorb them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bittrue.graph.ir import Graph, Node

Array = np.ndarray[Any, Any]
HOMOGENEOUS = {"Relu", "LeakyRelu", "PRelu", "MaxPool", "AveragePool"}
SMALLEST = 1e-6
ROUNDS = 100
SETTLED = 1e-4


def equalize(graph: Graph, *, powers_of_two: bool) -> int:
    """Equalizes all pairs in place until nothing changes (at most 100 rounds); returns the number of pairs."""
    pairs = _pairs(graph)
    for node in {id(n): n for pair in pairs for n in pair}.values():
        _own_constants(graph, node)
    for _ in range(ROUNDS):
        change = sum([_equalize_pair(graph, first, second, powers_of_two) for first, second in pairs])
        if change < SETTLED:
            break
    return len(pairs)


def _pairs(graph: Graph) -> list[tuple[Node, Node]]:
    readers = graph.consumers()
    pairs = []
    for first in graph.nodes:
        if first.op != "Conv" or not _constant_weights(graph, first):
            continue
        homogeneous = all(f.op in HOMOGENEOUS for f in first.fused)
        tensor = first.outputs[0]
        while homogeneous and tensor not in graph.outputs and len(readers.get(tensor, [])) == 1:
            second = readers[tensor][0]
            if second.op == "Conv" and second.inputs[0] == tensor:
                channels = graph.types[tensor].shape[1]
                if _constant_weights(graph, second) and second.attrs.get("group", 1) in (1, channels):
                    pairs.append((first, second))
                break
            if second.op not in HOMOGENEOUS or second.fused:
                break
            tensor = second.outputs[0]
    return pairs


def _constant_weights(graph: Graph, node: Node) -> bool:
    return all(i in graph.constants for i in node.inputs[1:] if i)


def _own_constants(graph: Graph, node: Node) -> None:
    """Weights that the node shares with nothing, since they change."""
    for position, name in enumerate(node.inputs[1:], 1):
        if name:
            node.inputs[position] = graph.add_constant(f"{name}/equalized", graph.constants[name].copy())


def _largest(w: Array, axis: int) -> Array:
    result: Array = np.abs(w).max(tuple(a for a in range(w.ndim) if a != axis)).astype(np.float64)
    return result


def _equalize_pair(graph: Graph, first: Node, second: Node, powers_of_two: bool) -> float:
    """Sum of the changes of both weights (Frobenius norms)."""
    w1, w2 = graph.constants[first.inputs[1]], graph.constants[second.inputs[1]]
    depthwise = second.attrs.get("group", 1) > 1
    if depthwise:  # channel i feeds the outputs i * multiplier ...
        multiplier = w2.shape[0] // w1.shape[0]
        r2 = _largest(w2, 0).reshape(-1, multiplier).max(1)
    else:
        r2 = _largest(w2, 1)
    r1 = _largest(w1, 0)
    usable = (r1 >= SMALLEST) & (r2 >= SMALLEST)
    s = np.where(usable, np.sqrt(np.where(usable, r1, 1) / np.where(usable, r2, 1)), 1.0)
    if powers_of_two:
        s = 2.0 ** np.rint(np.log2(s))
    per_output = np.repeat(s, multiplier) if depthwise else s
    after = (-1, 1, 1, 1) if depthwise else (1, -1, 1, 1)
    new1 = (w1 / s.reshape(-1, *[1] * (w1.ndim - 1))).astype(np.float32)
    new2 = (w2 * per_output.reshape(after[: w2.ndim])).astype(np.float32)
    change = float(np.linalg.norm(new1 - w1) + np.linalg.norm(new2 - w2))
    graph.constants[first.inputs[1]], graph.constants[second.inputs[1]] = new1, new2
    if len(first.inputs) > 2 and first.inputs[2]:
        bias = graph.constants[first.inputs[2]]
        graph.constants[first.inputs[2]] = (bias / s).astype(np.float32)
    return change
