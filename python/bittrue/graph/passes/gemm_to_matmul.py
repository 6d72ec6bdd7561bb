"""Gemm with constant B and C: alpha, beta and transB are folded into the constants, so that Gemm is x @ B + C."""

from __future__ import annotations

import numpy as np

from bittrue.graph.ir import Graph


def gemm_to_matmul(graph: Graph) -> None:
    for node in graph.nodes:
        if node.op != "Gemm" or node.attrs.get("transA", 0) or node.inputs[1] not in graph.constants:
            continue
        b = graph.constants[node.inputs[1]] * np.float32(node.attrs.get("alpha", 1.0))
        if node.attrs.get("transB", 0):
            b = b.T
        inputs = [node.inputs[0], graph.add_constant(f"{node.inputs[1]}/folded", np.ascontiguousarray(b))]
        if len(node.inputs) > 2 and node.inputs[2]:
            if node.inputs[2] not in graph.constants:
                continue
            c = graph.constants[node.inputs[2]] * np.float32(node.attrs.get("beta", 1.0))
            if c.size not in (1, b.shape[1]):
                continue
            inputs.append(
                graph.add_constant(f"{node.inputs[2]}/folded", np.broadcast_to(c.ravel(), (b.shape[1],)).copy())
            )
        node.inputs, node.attrs = inputs, {}
