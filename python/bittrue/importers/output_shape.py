"""`output_shape` of ConvTranspose as pads and output_padding, before any inference: ONNX's takes a spatial size for the
whole shape."""

from __future__ import annotations

from typing import Any

import onnx
from onnx import helper, shape_inference

from bittrue.errors import DataError, UnsupportedError
from bittrue.graph.onnx_io import type_of


def resolve_output_shapes(model: onnx.ModelProto) -> None:
    """Raises UnsupportedError where the shape of the input or of the weight is not known yet."""
    for node in model.graph.node:
        attrs = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "ConvTranspose" and "output_shape" in attrs:
            shapes = _shapes(model)  # again for every node: what follows one depends on its result
            x, w = (shapes.get(i) for i in node.input[:2])
            if x is None or w is None:
                name = node.name or node.output[0]
                raise UnsupportedError(f"node '{name}' (ConvTranspose): output_shape of an input of unknown shape")
            _resolve(node, attrs, x, w)


def _shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    try:
        graph = shape_inference.infer_shapes(model, data_prop=True).graph
    except Exception as e:  # the checker's errors have no common base
        raise DataError(f"shape inference failed: {e}") from e
    types = {v.name: type_of(v) for v in [*graph.input, *graph.value_info]}
    return {t.name: tuple(t.dims) for t in graph.initializer} | {n: t.shape for n, t in types.items() if t}


def _resolve(node: onnx.NodeProto, attrs: dict[str, Any], x: tuple[int, ...], w: tuple[int, ...]) -> None:
    rank = len(x) - 2
    wanted = attrs["output_shape"][-rank:]
    strides, dilations = attrs.get("strides", [1] * rank), attrs.get("dilations", [1] * rank)
    extra = list(attrs.get("output_padding", [0] * rank))
    begins, ends = [], []
    for d in range(rank):
        total = strides[d] * (x[2 + d] - 1) + extra[d] + (w[2 + d] - 1) * dilations[d] + 1 - wanted[d]
        if total < 0:  # larger than what the windows reach
            extra[d] -= total
            total = 0
        small = total // 2
        begins.append(small if attrs.get("auto_pad") == b"SAME_UPPER" else total - small)
        ends.append(total - begins[-1])
    kept = [a for a in node.attribute if a.name not in ("output_shape", "auto_pad", "pads", "output_padding")]
    del node.attribute[:]
    node.attribute.extend(kept)
    node.attribute.append(helper.make_attribute("pads", begins + ends))
    node.attribute.append(helper.make_attribute("output_padding", extra))
