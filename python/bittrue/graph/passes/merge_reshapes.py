"""A reshape of a reshape becomes one; one that gives back the original shape disappears."""

from __future__ import annotations

import numpy as np

from bittrue.graph.ir import Graph
from bittrue.graph.passes.eliminate_identity import eliminate_identity

RESHAPES = {"Reshape", "Squeeze", "Unsqueeze", "Flatten"}


def merge_reshapes(graph: Graph) -> None:
    producer = graph.producer()
    for node in graph.nodes:
        before = producer.get(node.inputs[0]) if node.inputs else None
        if node.op not in RESHAPES or before is None or before.op not in RESHAPES:
            continue
        shape = graph.types[node.outputs[0]].shape
        target = graph.add_constant(f"{node.name}/shape", np.asarray(shape, np.int64))
        node.op, node.inputs, node.attrs = "Reshape", [before.inputs[0], target], {}
    eliminate_identity(graph)
