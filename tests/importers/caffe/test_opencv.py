"""Float graphs against OpenCV's Caffe importer: the real models, and layers that it has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format

from bittrue.calibrate.float_runner import FloatRunner
from bittrue.importers import CaffeOptions, load_float_graph
from bittrue.importers.caffe.net import DROPPED_TYPES, INPUT_TYPES
from bittrue.importers.caffe.read import read_prototxt
from tests.importers.caffe.nets import Array, inputs, layer, load
from tests.shared import SHARED, needs_shared

cv2 = pytest.importorskip("cv2")
pytestmark = pytest.mark.skipif(not hasattr(cv2.dnn, "readNetFromCaffe"), reason="this OpenCV has no Caffe importer")

MODELS: dict[str, tuple[str, str, dict[str, tuple[int, ...]]]] = {
    "lenet": ("lenet/lenet.prototxt", "lenet/lenet_iter_10000.caffemodel", {"data": (2, 1, 28, 28)}),
    "cifar10": (
        "cifar10-m4/cifar10_m4_train_test.prototxt",
        "cifar10-m4/quantized_cifar10_m4_iter_70000.caffemodel",
        {"data": (2, 3, 32, 32)},
    ),
    "pnet": ("mtcnn/det1.prototxt", "mtcnn/det1.caffemodel", {"data": (1, 3, 37, 50)}),
    "rnet": ("mtcnn/det2.prototxt", "mtcnn/det2.caffemodel", {}),
    "onet": ("mtcnn/det3.prototxt", "mtcnn/det3.caffemodel", {}),
    "rfb320": ("rfb320/RFB-320.prototxt", "rfb320/RFB-320.caffemodel", {}),
}


def deploy_form(path: Path, shapes: dict[str, tuple[int, ...]]) -> bytes:
    """The prototxt without layers of training, which OpenCV cannot read; data layers become inputs."""
    net = read_prototxt(path)
    kept = [type(n).FromString(n.SerializeToString()) for n in net.layer if n.type not in INPUT_TYPES | DROPPED_TYPES]
    net.ClearField("layer")
    net.layer.extend(kept)
    if not net.input:
        for name, shape in shapes.items():
            net.input.append(name)
            net.input_shape.add().dim.extend(shape)
    return text_format.MessageToString(net).encode()


def by_opencv(prototxt: bytes, caffemodel: bytes, feeds: dict[str, Array], outputs: list[str]) -> list[Array]:
    """Results of the layers named in `outputs`; "" is the last layer."""
    net = cv2.dnn.readNetFromCaffe(np.frombuffer(prototxt, np.uint8), np.frombuffer(caffemodel, np.uint8))
    for name, value in feeds.items():
        net.setInput(value, name)
    return [np.asarray(net.forward(o) if o else net.forward()) for o in outputs]


@needs_shared
@pytest.mark.parametrize("name", MODELS)
def test_real_model(name: str) -> None:
    assert SHARED is not None
    prototxt, caffemodel, shapes = MODELS[name]
    folder = SHARED / "models/caffe"
    graph = load_float_graph(folder / prototxt, input_shapes=shapes, caffe=CaffeOptions(folder / caffemodel))
    shapes = {n: graph.types[n].shape for n in graph.inputs}
    rng = np.random.default_rng(3)
    feeds = {n: rng.uniform(-1, 1, s).astype(np.float32) for n, s in shapes.items()}
    got = FloatRunner(graph).run(feeds)
    refs = by_opencv(
        deploy_form(folder / prototxt, shapes), (folder / caffemodel).read_bytes(), feeds, list(graph.outputs)
    )
    for output, ref in zip(graph.outputs, refs, strict=True):
        assert got[output].shape == ref.shape
        np.testing.assert_allclose(got[output], ref, rtol=0, atol=1e-4)


@needs_shared
def test_the_caffe_and_the_onnx_form_of_a_model_agree() -> None:
    assert SHARED is not None
    prototxt, caffemodel, _ = MODELS["rfb320"]
    folder = SHARED / "models/caffe"
    ours = load_float_graph(folder / prototxt, caffe=CaffeOptions(folder / caffemodel))
    other = load_float_graph(SHARED / "models/onnx/rfb320/version-RFB-320_without_postprocessing.onnx")
    x = np.random.default_rng(4).uniform(-1, 1, ours.types["input"].shape).astype(np.float32)
    a, b = FloatRunner(ours).run({"input": x}), FloatRunner(other).run({"input": x})
    for name in ("scores", "boxes"):
        np.testing.assert_allclose(a[name], b[name], rtol=0, atol=1e-4)


LAYERS: list[tuple[str, str, list[tuple[int, ...]], list[tuple[int, ...]]]] = [
    ("Convolution", "convolution_param { num_output: 6 kernel_size: 3 stride: 2 pad: 1 group: 2 }",
     [(1, 4, 7, 9)], [(6, 2, 3, 3), (6,)]),
    ("Convolution", "convolution_param { num_output: 3 kernel_size: 3 dilation: 2 bias_term: false }",
     [(1, 2, 7, 9)], [(3, 2, 3, 3)]),
    ("Deconvolution", "convolution_param { num_output: 4 kernel_size: 4 stride: 2 pad: 1 group: 4 bias_term: false }",
     [(1, 4, 5, 3)], [(4, 1, 4, 4)]),
    ("InnerProduct", "inner_product_param { num_output: 5 }", [(2, 3, 2, 2)], [(5, 12), (5,)]),
    ("Pooling", "pooling_param { kernel_size: 3 stride: 2 }", [(1, 2, 8, 7)], []),
    ("Pooling", "pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 }", [(1, 2, 9, 9)], []),
    ("PReLU", "", [(1, 3, 2, 2)], [(3,)]),
    ("Scale", "scale_param { bias_term: true }", [(1, 3, 2, 2)], [(3,), (3,)]),
    ("ELU", "", [(1, 3, 2, 2)], []),
    ("Power", "power_param { power: 2 scale: 0.5 shift: 1 }", [(1, 3, 2, 2)], []),
    ("Eltwise", "eltwise_param { coeff: [2, -1] }", [(1, 3, 2, 2), (1, 3, 2, 2)], []),
    ("Eltwise", "eltwise_param { operation: MAX }", [(1, 3, 2, 2), (1, 3, 2, 2)], []),
    ("LRN", "lrn_param { local_size: 5 alpha: 0.3 beta: 0.5 }", [(1, 7, 3, 3)], []),
    ("LRN", "lrn_param { local_size: 3 alpha: 0.3 norm_region: WITHIN_CHANNEL }", [(1, 2, 5, 4)], []),
    ("Permute", "permute_param { order: [0, 2, 3, 1] }", [(1, 3, 4, 2)], []),
    ("Flatten", "", [(2, 3, 4, 2)], []),
    ("Reshape", "reshape_param { shape { dim: 0 dim: -1 dim: 2 } }", [(1, 3, 4, 2)], []),
    ("Softmax", "softmax_param { axis: 2 }", [(1, 3, 4)], []),
    ("Crop", "crop_param { axis: 2 offset: [1, 2] }", [(1, 3, 5, 6), (1, 3, 2, 3)], []),
    ("Concat", "concat_param { axis: 2 }", [(1, 3, 2, 2), (1, 3, 5, 2)], []),
    ("ShuffleChannel", "shuffle_channel_param { group: 3 }", [(1, 6, 2, 2)], []),
    ("Normalize", "norm_param { across_spatial: false channel_shared: false }", [(1, 3, 4, 2)], [(3,)]),
    ("MVN", "", [(1, 3, 4, 5)], []),
]  # fmt: skip


@pytest.mark.parametrize("case", LAYERS, ids=[f"{c[0]} {c[1][:40]}" for c in LAYERS])
def test_layer(case: Any, tmp_path: Path) -> None:
    kind, parameters, shapes, blobs = case
    rng = np.random.default_rng(5)
    arrays = [rng.normal(0, 1, s) for s in blobs]
    names = "abcdef"[: len(shapes)]
    text = inputs(*shapes) + layer(kind, parameters, " ".join(names))
    graph = load(tmp_path, text, {"l": arrays} if arrays else {"other": [np.ones(1)]})
    feeds = {n: rng.normal(0, 1, s).astype(np.float32) for n, s in zip(names, shapes, strict=True)}
    got = FloatRunner(graph).run({n: feeds[n] for n in graph.inputs})["y"]
    (ref,) = by_opencv(text.encode(), (tmp_path / "net.caffemodel").read_bytes(), feeds, [""])
    np.testing.assert_allclose(got, ref.reshape(got.shape), rtol=1e-4, atol=1e-5)
