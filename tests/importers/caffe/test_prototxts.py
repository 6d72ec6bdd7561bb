"""Published topologies, with random weights: the float graph has the known outputs and a target takes it, or says all
it cannot run."""

from __future__ import annotations

from pathlib import Path

import pytest

from bittrue import api
from bittrue.errors import UnsupportedError
from bittrue.importers import CaffeOptions
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
    "models__bvlc_alexnet__deploy": {"prob": (10, 1000)},
    "prototxt__ResNet-50-deploy": {"prob": (1, 1000)},
    "mobilenet_v2_deploy": {"prob": (1, 1000, 1, 1)},
    "SqueezeNet_v1.1__deploy": {"prob": (10, 1000, 1, 1)},
    "models__intel_optimized_models__int8__yolov2_int8": {"conv_reg": (1, 125, 17, 17)},
}
FILES = sorted((SHARED / "models/caffe-prototxt").rglob("*.prototxt")) if SHARED else []


@needs_shared
@pytest.mark.parametrize("path", FILES, ids=[p.parent.name + "/" + p.stem for p in FILES])
def test_prototxt(path: Path) -> None:
    graph = api.load_float(path, shapes=SHAPES.get(path.stem), caffe=CaffeOptions(random_weights=1))
    for name, shape in OUTPUTS.get(path.stem, {}).items():
        assert name in graph.outputs and graph.types[name].shape == shape
    try:
        model = api.quantize(graph, None, "bm1684", precision="fp32")
    except UnsupportedError as e:
        assert all(f"{n.name} ({n.op})" in str(e) for n in graph.nodes if n.op == "LRN")
    else:
        assert model.graph.outputs == graph.outputs
