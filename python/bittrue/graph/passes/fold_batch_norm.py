"""BatchNormalization after Conv, ConvTranspose or Gemm goes into weights and bias; elsewhere it becomes Mul and Add per
channel. The factor is computed in float64."""

from __future__ import annotations

import numpy as np

from bittrue.graph.ir import Graph, Node


def fold_batch_norm(graph: Graph) -> None:
    producer, consumers = graph.producer(), graph.consumers()
    nodes: list[Node] = []
    for node in graph.nodes:
        parameters = [graph.constants.get(i) for i in node.inputs[1:5]]
        if node.op != "BatchNormalization" or any(p is None for p in parameters):
            nodes.append(node)
            continue
        gamma, beta, mean, variance = (np.asarray(p, np.float64) for p in parameters)
        factor = gamma / np.sqrt(variance + node.attrs.get("epsilon", 1e-5))
        offset = beta - mean * factor
        x, y = node.inputs[0], node.outputs[0]
        before = producer.get(x)
        foldable = (
            before is not None
            and before.op in ("Conv", "ConvTranspose", "Gemm")
            and before.inputs[1] in graph.constants
            and (len(before.inputs) < 3 or not before.inputs[2] or before.inputs[2] in graph.constants)
            and len(consumers.get(x, [])) == 1
            and x not in graph.outputs
            and (before.op != "Gemm" or not before.attrs)
        )
        if foldable and before is not None:
            w = graph.constants[before.inputs[1]].astype(np.float64)
            if before.op == "Conv":
                w = w * factor.reshape(-1, *[1] * (w.ndim - 1))
            elif before.op == "ConvTranspose":
                group = before.attrs.get("group", 1)
                per_input = np.repeat(factor.reshape(group, 1, -1), w.shape[0] // group, 1).reshape(w.shape[:2])
                w = w * per_input.reshape(*w.shape[:2], *[1] * (w.ndim - 2))
            else:
                w = w * factor
            old = (
                graph.constants[before.inputs[2]].astype(np.float64)
                if len(before.inputs) > 2 and before.inputs[2]
                else 0
            )
            weight = graph.add_constant(f"{before.inputs[1]}/bn", w.astype(np.float32))
            bias = graph.add_constant(f"{before.name}/bias_bn", (old * factor + offset).astype(np.float32))
            before.inputs = [before.inputs[0], weight, bias]
            before.outputs = [y]
            producer[y] = before
            continue
        shape = (-1, *[1] * (len(graph.types[x].shape) - 2))
        scaled = graph.unique_name(f"{y}/scaled")
        graph.types[scaled] = graph.types[y]
        factor_name = graph.add_constant(f"{node.name}/factor", factor.reshape(shape).astype(np.float32))
        offset_name = graph.add_constant(f"{node.name}/offset", offset.reshape(shape).astype(np.float32))
        nodes.append(Node("Mul", f"{node.name}/mul", [x, factor_name], [scaled]))
        nodes.append(Node("Add", node.name, [scaled, offset_name], [y]))
    graph.nodes = nodes
