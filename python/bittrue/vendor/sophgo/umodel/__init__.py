"""Sophgo's umodels: a network as prototxt and blobs, its two forms, the transforms before calibration, and the INT8
file that calibration writes and the INT8 compiler reads."""

from bittrue.vendor.sophgo.umodel.int8 import (
    Quantization,
    QuantizedNetwork,
    int8_umodel,
    is_int8_umodel,
    open_int8,
)
from bittrue.vendor.sophgo.umodel.network import Network

__all__ = ["Network", "Quantization", "QuantizedNetwork", "int8_umodel", "is_int8_umodel", "open_int8"]
