"""Types of all tensors of a float graph, by ONNX shape inference."""

from __future__ import annotations

from dataclasses import replace

from onnx import shape_inference

from bittrue.errors import DataError
from bittrue.graph.host_ops import host_type, is_host_op
from bittrue.graph.ir import Graph, TensorType
from bittrue.graph.onnx_io import to_onnx, type_of

LARGE = 1000
SAME_AS_INPUT = {"GroupNormalization", "RMSNormalization", "Swish"}


def infer_types(graph: Graph) -> None:
    """Fills `graph.types` for tensors without a type. Raises DataError, naming the first tensor that stays unknown."""
    for name, array in graph.constants.items():
        graph.types.setdefault(name, TensorType(array.dtype.name, tuple(array.shape)))
    missing = [o for n in graph.nodes for o in n.outputs if o and o not in graph.types]
    if not missing:
        return
    # Inference reads shapes and indices, not weights: large constants stay out of the model.
    large = [n for n, a in graph.constants.items() if a.size > LARGE]
    outline = replace(
        graph,
        inputs=[*graph.inputs, *large],
        outputs=[o for o in graph.outputs if o in graph.types],
        constants={n: a for n, a in graph.constants.items() if a.size <= LARGE},
    )
    model = to_onnx(outline)
    try:
        inferred = shape_inference.infer_shapes(model, data_prop=True)
    except Exception as e:  # the checker's errors have no common base
        raise DataError(f"shape inference failed: {e}") from e
    for value in inferred.graph.value_info:
        known = type_of(value)
        if known is not None:
            graph.types.setdefault(value.name, known)
    if _fill_outside_inference(graph):
        infer_types(graph)


def _fill_outside_inference(graph: Graph) -> bool:
    """Types the results of ops that ONNX's inference leaves out; whether there were any."""
    filled = False
    for n in graph.nodes:
        if n.outputs[0] in graph.types or any(i not in graph.types for i in n.inputs):
            continue
        if n.op in SAME_AS_INPUT:
            graph.types[n.outputs[0]] = graph.types[n.inputs[0]]
            filled = True
        elif is_host_op(n.domain, n.op):
            graph.types[n.outputs[0]] = host_type(n.op, n.attrs, [graph.types[i] for i in n.inputs])
            filled = True
    return filled
