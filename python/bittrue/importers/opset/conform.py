"""Whether a node is one of the fixed opset; attributes that only newer opsets know may stand at their defaults."""

from __future__ import annotations

from typing import Any

from onnx import defs, helper

from bittrue.graph.ir import OPSET, Node


def schema(op: str, version: int) -> defs.OpSchema | None:
    """The schema of an op in an opset, or None where the opset does not have it."""
    try:
        return defs.get_schema(op, version, "")
    except (defs.SchemaError, TypeError):  # TypeError: a name that is no text
        return None


def _default(attribute: defs.OpSchema.Attribute) -> Any:
    if not attribute.default_value.type:
        return None
    value = helper.get_attribute_value(attribute.default_value)
    return value.decode() if isinstance(value, bytes) else value


def conform(node: Node, version: int) -> str | None:
    """Drops what means nothing in the fixed opset; returns the reason why the node is none of it, or None."""
    known = schema(node.op, OPSET)
    origin = schema(node.op, version) or known
    if known is None or known.deprecated:
        return f"no rule for this op of opset {origin.since_version}" if origin else "unknown op"
    assert origin is not None
    for key, value in list(node.attrs.items()):
        if key in known.attributes:
            continue
        if key not in origin.attributes:
            return f"unknown attribute '{key}'"
        standard = _default(origin.attributes[key])
        if value != standard and (standard is not None or value):
            return f"attribute '{key}' of opset {origin.since_version}"
        del node.attrs[key]
    while node.inputs and not node.inputs[-1] and len(node.inputs) > known.min_input:
        del node.inputs[-1]
    if len(node.inputs) > known.max_input:
        return f"{len(node.inputs)} inputs, opset {OPSET} has {known.max_input}"
    return None
