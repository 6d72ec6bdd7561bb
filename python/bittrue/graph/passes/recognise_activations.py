"""Activations spelled as several ONNX nodes become one node with a `pattern`, so that one table replaces them all:
SiLU x*sigmoid(x), Mish x*tanh(softplus(x)), HardSwish x*hard_sigmoid(x) where the slope is 1/6 and the offset 1/2.

The node keeps the absorbed nodes, so `to_onnx` writes the original spelling.
"""

from __future__ import annotations

import numpy as np

from bittrue.graph.ir import Graph, Node

GATES = {"Sigmoid": "Silu", "HardSigmoid": "HardSwish"}


def _is_hard_swish_gate(gate: Node) -> bool:
    """Slope 1/6 (as binary32 holds it) and offset 1/2; ONNX's default slope, 0.2, is another function."""
    return bool(np.float32(gate.attrs.get("alpha", 0.2)) == np.float32(1 / 6) and gate.attrs.get("beta", 0.5) == 0.5)


def recognise_activations(graph: Graph) -> None:
    producer, consumers = graph.producer(), graph.consumers()
    dropped: set[int] = set()

    def only_reader(tensor: str) -> bool:
        return len(consumers.get(tensor, [])) == 1 and tensor not in graph.outputs

    for node in graph.nodes:
        if node.op != "Mul" or node.fused:
            continue
        for x, gated in (node.inputs, node.inputs[::-1]):
            gate = producer.get(gated)
            if gate is None or not only_reader(gated) or id(gate) in dropped:
                continue
            chain: list[Node] = []
            name = None
            if gate.op == "HardSigmoid" and not _is_hard_swish_gate(gate):
                continue
            if gate.op in GATES and gate.inputs[0] == x:
                chain, name = [gate], GATES[gate.op]
            elif gate.op == "Tanh" and only_reader(gate.inputs[0]):
                inner = producer.get(gate.inputs[0])
                if inner is not None and inner.op == "Softplus" and inner.inputs[0] == x:
                    chain, name = [inner, gate], "Mish"
            if name is None:
                continue
            absorbed = [*chain, Node(node.op, node.name, list(node.inputs), list(node.outputs), dict(node.attrs))]
            node.attrs = {**(gate.attrs if name == "HardSwish" else {}), "pattern": name}
            node.op, node.inputs, node.absorbed = "Activation", [x], absorbed
            dropped.update(id(n) for n in chain)
            break
    graph.nodes = [n for n in graph.nodes if id(n) not in dropped]
