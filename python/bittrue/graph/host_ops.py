"""Ops of the float graph outside ONNX: layers that chips leave to their host processor.

They have the name and the attributes of the op of the quantized graph that they become, in a domain of their own; their
float results are those of its numpy model. Here stand the types of their results.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bittrue.graph.ir import TensorType

HOST_DOMAIN = "bittrue.host"
Infer = Callable[[dict[str, Any], Sequence[TensorType]], TensorType]
_TYPES: dict[str, Infer] = {}


def _host_op(name: str) -> Callable[[Infer], Infer]:
    def register(infer: Infer) -> Infer:
        _TYPES[name] = infer
        return infer

    return register


def is_host_op(domain: str, op: str) -> bool:
    """Whether an op of the float graph is one of the host."""
    return domain == HOST_DOMAIN and op in _TYPES


def runs_on_host(op: str) -> bool:
    """Whether an op of the quantized graph is one of the host processor."""
    return op in _TYPES or op == "RoiMaxPool"


def host_type(op: str, attrs: dict[str, Any], inputs: Sequence[TensorType]) -> TensorType:
    """The type of the result of a host op."""
    return _TYPES[op](attrs, inputs)


@_host_op("DetectionOutput")
def _detection_output(attrs: dict[str, Any], inputs: Sequence[TensorType]) -> TensorType:
    """As many rows as the images can fill, at least one each."""
    images, priors = inputs[0].shape[0], inputs[2].elements // 8
    classes, background = attrs["num_classes"], attrs.get("background_label", 0)
    limit, keep = attrs.get("nms_top_k", -1), attrs.get("keep_top_k", -1)
    rows = (classes - (0 <= background < classes)) * (priors if limit < 0 else min(priors, limit))
    return TensorType("float32", (1, 1, images * max(1, rows if keep < 0 else min(rows, keep)), 7))


@_host_op("YoloDetection")
def _yolo_detection(attrs: dict[str, Any], inputs: Sequence[TensorType]) -> TensorType:
    return TensorType("float32", (1, 1, inputs[0].shape[0] * attrs["keep_top_k"], 7))


@_host_op("Proposal")
def _proposal(attrs: dict[str, Any], inputs: Sequence[TensorType]) -> TensorType:
    return TensorType("float32", (attrs["post_nms_top_n"], 5))


@_host_op("PsRoiPool")
def _ps_roi_pool(attrs: dict[str, Any], inputs: Sequence[TensorType]) -> TensorType:
    return TensorType("float32", (inputs[1].shape[0], attrs["output_dim"], attrs["group_size"], attrs["group_size"]))
