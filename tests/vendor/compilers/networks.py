"""Small networks for the compilers, as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tests.importers.caffe.nets import layer, write_caffemodel

SHAPE = (3, 12, 12)


def conv(name: str, bottom: str, outputs: int, more: str = "pad: 1") -> str:
    parameter = f"convolution_param {{ num_output: {outputs} kernel_size: 3 {more} }}"
    return layer("Convolution", parameter, bottom, name, name)


def caffe_text(batch: int = 1, head: str = "", size: int = SHAPE[1]) -> str:
    """Convolution, BatchNorm, Scale, ReLU in place, a branch that is added, a pool. head: further layers on `pool`."""
    return (
        f'name: "tiny" layer {{ name: "data" type: "Input" top: "data" '
        f"input_param {{ shape {{ dim: {batch} dim: 3 dim: {size} dim: {size} }} }} }}\n"
        + conv("conv1", "data", 8, "pad: 1 stride: 2")
        + layer("BatchNorm", "batch_norm_param { use_global_stats: true }", "conv1", "conv1", "bn1")
        + layer("Scale", "scale_param { bias_term: true }", "conv1", "conv1", "scale1")
        + layer("ReLU", "", "conv1", "conv1", "relu1")
        + conv("conv2", "conv1", 8)
        + layer("ReLU6", "", "conv2", "conv2", "relu2")
        + layer("Eltwise", "", "conv1 conv2", "sum", "sum")
        + layer("Pooling", "pooling_param { pool: MAX kernel_size: 2 stride: 2 }", "sum", "pool", "pool")
        + (head or layer("Sigmoid", "", "pool", "prob", "prob"))
    )


FC = layer("InnerProduct", "inner_product_param { num_output: 5 }", "pool", "fc", "fc") + layer(
    "Softmax", "", "fc", "prob", "prob"
)


def caffe_blobs(seed: int = 0) -> dict[str, list[Any]]:
    random = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return (random.standard_normal(shape) / np.sqrt(max(1, np.prod(shape[1:])))).astype(np.float32)

    return {
        "conv1": [normal(8, 3, 3, 3), normal(8)],
        "bn1": [normal(8), random.random(8) + 0.5, [2.0]],
        "scale1": [random.random(8) + 0.5, normal(8)],
        "conv2": [normal(8, 8, 3, 3), normal(8)],
        "fc": [normal(5, 72), normal(5)],
    }


def caffe_files(folder: Path, text: str | None = None, blobs: dict[str, list[Any]] | None = None) -> list[str]:
    """Writes a model; returns the options that name it."""
    prototxt = folder / "net.prototxt"
    prototxt.write_text(text or caffe_text())
    weights = write_caffemodel(folder / "net.caffemodel", blobs or caffe_blobs())
    return [f"--model={prototxt}", f"--weight={weights}"]


def onnx_file(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    constants: dict[str, np.ndarray],
    shape: Sequence[int | str] = (1, *SHAPE),
    outputs: Sequence[str] = ("y",),
    dtype: int = TensorProto.FLOAT,
) -> Path:
    """A model of one input x."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs],
        [numpy_helper.from_array(v, n) for n, v in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def onnx_net(path: Path, shape: Sequence[int | str] = (1, *SHAPE)) -> Path:
    """Conv, BatchNormalization, LeakyRelu, pools, Concat, a matrix product and Softmax."""
    random = np.random.default_rng(1)

    def normal(*dims: int) -> np.ndarray:
        return random.standard_normal(dims).astype(np.float32)

    constants = {
        "w": normal(4, 3, 3, 3), "b": normal(4), "gain": normal(4), "offset": normal(4), "mean": normal(4),
        "variance": random.random(4, np.float32) + 1, "m": normal(8, 5), "c": normal(5),
    }  # fmt: skip
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w", "b"], ["conv"], "conv", pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["conv", "gain", "offset", "mean", "variance"], ["bn"], "bn"),
        node("LeakyRelu", ["bn"], ["leaky"], "leaky", alpha=0.1),
        node("MaxPool", ["leaky"], ["pool"], "pool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
        node("GlobalAveragePool", ["pool"], ["average"], "average"),
        node("GlobalMaxPool", ["pool"], ["largest"], "largest"),
        node("Concat", ["average", "largest"], ["joined"], "joined", axis=1),
        node("Flatten", ["joined"], ["flat"], "flat"),
        node("Gemm", ["flat", "m", "c"], ["score"], "score"),
        node("Softmax", ["score"], ["y"], "prob", axis=1),
    ]
    return onnx_file(path, nodes, constants, shape)
