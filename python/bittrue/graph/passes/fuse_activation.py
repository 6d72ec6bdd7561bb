"""Relu, and Clip from 0 to 6 (relu6), join the node that feeds them if nothing else reads it.

Not pools: their integers keep the scale of the input, but what follows a relu is unsigned, of another scale.
"""

from __future__ import annotations

from bittrue.graph.ir import Graph, Node

HOSTS = {"Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Sub", "Mul", "Sum"}


def is_relu(node: Node) -> bool:
    """Relu or relu6."""
    return node.op == "Relu" or (node.op == "Clip" and (node.attrs.get("min"), node.attrs.get("max")) == (0.0, 6.0))


def fuse_activation(graph: Graph) -> None:
    producer, consumers = graph.producer(), graph.consumers()
    kept = []
    for node in graph.nodes:
        host = producer.get(node.inputs[0]) if node.inputs else None
        if (
            is_relu(node)
            and host is not None
            and host.op in HOSTS
            and not host.fused
            and len(host.outputs) == 1
            and len(consumers[node.inputs[0]]) == 1
            and node.inputs[0] not in graph.outputs
        ):
            host.fused = [node]
            host.outputs = list(node.outputs)
            producer[node.outputs[0]] = host
        else:
            kept.append(node)
    graph.nodes = kept
