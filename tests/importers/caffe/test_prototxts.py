"""Published topologies: every one is read, and with random weights becomes a float graph that a target runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from bittrue import api
from bittrue.importers import CaffeOptions
from bittrue.importers.caffe.net import read_net
from bittrue.importers.caffe.read import read_prototxt
from bittrue.importers.caffe.schema import new_message
from bittrue.importers.caffe.writer import RULES
from tests.shared import SHARED, needs_shared

# Inputs of data bases, whose shapes the prototxt does not say; and large batches made small.
SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "examples__cifar10__cifar10_full_sigmoid_train_test_bn": {"data": (1, 3, 32, 32)},
    "examples__mnist__lenet_train_test": {"data": (1, 1, 28, 28)},
    "examples__mnist__mnist_autoencoder": {"data": (1, 1, 28, 28)},
    "examples__siamese__mnist_siamese": {"data": (2, 1, 28, 28)},
    "models__intel_optimized_models__int8__yolov2_int8": {"data": (1, 3, 544, 544)},
}
OUTPUTS = {
    "models__bvlc_googlenet__deploy": {"prob": (10, 1000)},
    "mobilenet_v2_deploy": {"prob": (1, 1000, 1, 1)},
    "SqueezeNet_v1.1__deploy": {"prob": (10, 1000, 1, 1)},
    "voc__MobileNetSSD_deploy": {"detection_out": (1, 1, 100, 7)},
    "models__yolov3__mobilenet_yolov3_lite_deploy": {"detection_out": (1, 1, 200, 7)},
}
# Only read and resolved here: making up their weights takes seconds each.
LARGE = {
    "prototxt__ResNet-101-deploy", "prototxt__ResNet-152-deploy", "models__bvlc_reference_caffenet__deploy",
    "models__bvlc_alexnet__deploy", "examples__net_surgery__bvlc_caffenet_full_conv", "prototxt__ResNet-50-deploy",
    "models__intel_optimized_models__int8__yolov2_int8", "models__intel_optimized_models__int8__ssd_vgg16_int8",
}  # fmt: skip
FILES = sorted((SHARED / "models/caffe-prototxt").rglob("*.prototxt")) if SHARED else []


@needs_shared
@pytest.mark.parametrize("path", FILES, ids=[p.parent.name + "/" + p.stem for p in FILES])
def test_prototxt(path: Path) -> None:
    shapes = SHAPES.get(path.stem, {})
    net = read_net(read_prototxt(path), shapes)
    assert net.inputs and net.outputs and all(layer.type in RULES for layer in net.layers)
    if path.stem in LARGE:
        return
    graph = api.load_float(path, shapes=shapes, caffe=CaffeOptions(random_weights=1))
    for name, shape in OUTPUTS.get(path.stem, {}).items():
        assert name in graph.outputs and graph.types[name].shape == shape
    assert api.quantize(graph, None, "bm1684", precision="fp32").graph.outputs == graph.outputs


MODELS = sorted((SHARED / "models/caffe").rglob("*.caffemodel")) if SHARED else []
KEYS = {
    "convolution_param": ("num_output", "kernel_size", "pad", "stride", "kernel_h", "stride_w", "pad_h"),
    "inner_product_param": ("num_output",),
    "pooling_param": ("pool", "kernel_size", "stride"),
    "norm_param": ("across_spatial", "channel_shared", "scale_filler"),
    "prior_box_param": ("min_size", "variance", "clip", "step", "offset"),
    "permute_param": ("order",),
    "concat_param": ("axis",),
}


@needs_shared
@pytest.mark.parametrize("path", MODELS, ids=[p.stem for p in MODELS])
def test_field_numbers_by_files_of_caffe(path: Path) -> None:
    """A caffemodel carries the layers' parameters in binary: the schema reads what the prototxt says in words."""
    binary = new_message("NetParameter")
    binary.ParseFromString(path.read_bytes())
    stored = {n.name: n for n in binary.layer}
    compared = 0
    prototxt = path.with_suffix(".prototxt")
    for said in read_prototxt(prototxt if prototxt.is_file() else next(path.parent.glob("*.prototxt"))).layer:
        for parameter, keys in KEYS.items():
            if said.name in stored and said.HasField(parameter) and stored[said.name].HasField(parameter):
                a, b = (getattr(n, parameter) for n in (said, stored[said.name]))
                assert all(getattr(a, k) == getattr(b, k) for k in keys), said.name
                compared += 1
    assert compared >= 4
