"""x / sqrt(sum of x*x over some axes + eps), spelled as five ONNX nodes, becomes one node L2Normalize.

In integers the squares would lose everything below the largest; as one node it runs in the target's float rules. The
node keeps the absorbed nodes, so `to_onnx` writes the original spelling.
"""

from __future__ import annotations

from bittrue.graph.ir import Graph, Node


def recognise_normalize(graph: Graph) -> None:
    producer, consumers = graph.producer(), graph.consumers()

    def source(tensor: str, op: str) -> Node | None:
        """The node of this op that makes a tensor for one reader only."""
        node = producer.get(tensor)
        alone = len(consumers.get(tensor, [])) == 1 and tensor not in graph.outputs
        return node if node and node.op == op and not node.fused and alone else None

    dropped: set[int] = set()
    for node in graph.nodes:
        if node.op != "Div" or node.fused:
            continue
        x = node.inputs[0]
        root = source(node.inputs[1], "Sqrt")
        shifted = source(root.inputs[0], "Add") if root else None
        eps = graph.constants.get(shifted.inputs[1]) if shifted else None
        total = source(shifted.inputs[0], "ReduceSum") if shifted else None
        axes = graph.constants.get(total.inputs[1]) if total and len(total.inputs) > 1 else None
        squares = source(total.inputs[0], "Mul") if total else None
        if root is None or shifted is None or total is None or squares is None or eps is None or axes is None:
            continue
        if eps.size != 1 or not total.attrs.get("keepdims", 1) or squares.inputs != [x, x]:
            continue
        chain = [squares, total, shifted, root]
        node.absorbed = [*chain, Node(node.op, node.name, list(node.inputs), list(node.outputs), dict(node.attrs))]
        node.op, node.inputs = "L2Normalize", [x]
        node.attrs = {
            "axes": sorted(int(a) % len(graph.types[x].shape) for a in axes),
            "epsilon": float(eps.ravel()[0]),
        }
        dropped.update(id(n) for n in chain)
    graph.nodes = [n for n in graph.nodes if id(n) not in dropped]
