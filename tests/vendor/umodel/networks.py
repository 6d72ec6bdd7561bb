"""A small classifier with a data layer, its random weights, and pictures for it in an LMDB."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tests.importers.caffe.nets import layer, write_caffemodel

from bittrue.containers.lmdb_folder import write_lmdb

SHAPE = (3, 12, 12)
CLASSES = 5
DATA = """layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TEST }
  transform_param { TRANSFORM } data_param { source: "SOURCE" batch_size: BATCH backend: LMDB } }
"""


def conv(name: str, bottom: str, outputs: int, more: str = "pad: 1", **kw: str) -> str:
    parameter = f"convolution_param {{ num_output: {outputs} kernel_size: 3 {more} }}"
    return layer("Convolution", parameter, bottom, name, name)


def layers(pad: int = 1, fields: dict[str, str] | None = None) -> str:
    """conv + BatchNorm + Scale + ReLU in place, depthwise + Scale, two branches and their Concat, classifier."""
    text = (
        conv("conv1", "data", 8, f"pad: {pad} bias_term: false")
        + layer("BatchNorm", "batch_norm_param { use_global_stats: true }", "conv1", "conv1", "bn1")
        + layer("Scale", "scale_param { bias_term: true }", "conv1", "conv1", "scale1")
        + layer("ReLU", "", "conv1", "conv1", "relu1")
        + layer("Dropout", "", "conv1", "conv1", "drop1")
        + conv("conv2/dw", "conv1", 8, "pad: 1 group: 8")
        + layer("Scale", "scale_param { bias_term: true }", "conv2/dw", "scale2", "scale2")
        + conv("conv3", "conv1", 4)
        + layer("Scale", "", "conv3", "scale3", "scale3")
        + layer("Concat", "", "scale2 scale3", "joined", "joined")
        + layer("Pooling", "pooling_param { pool: AVE kernel_size: 4 stride: 4 }", "joined", "pool", "pool")
        + layer("InnerProduct", f"inner_product_param {{ num_output: {CLASSES} }}", "pool", "score", "score")
        + layer("Softmax", "", "score", "prob", "prob")
        + layer("Accuracy", "accuracy_param { top_k: 1 }", "score label", "acc/top-1", "top1")
        + layer("Accuracy", "accuracy_param { top_k: 3 }", "score label", "acc/top-3", "top3")
    )
    for name, field in (fields or {}).items():
        text = text.replace(f'name: "{name}"', f'name: "{name}" {field}')
    return text


def blobs(seed: int = 0, spread: bool = False) -> dict[str, list[Any]]:
    random = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return (random.standard_normal(shape) / np.sqrt(max(1, np.prod(shape[1:])))).astype(np.float32)

    first = normal(8, 3, 3, 3)
    if spread:
        first *= (2.0 ** -np.arange(8, dtype=np.float32)).reshape(-1, 1, 1, 1)
    side = SHAPE[1] // 4
    return {
        "conv1": [first],
        "bn1": [normal(8), random.random(8) + 0.5, [2.0]],
        "scale1": [random.random(8) + 0.5, normal(8)],
        "conv2/dw": [normal(8, 1, 3, 3), normal(8)],
        "scale2": [random.random(8) + 0.5, normal(8)],
        "conv3": [normal(4, 8, 3, 3), normal(4)],
        "scale3": [random.random(4) + 0.5],
        "score": [normal(CLASSES, 12 * side * side), normal(CLASSES)],
    }


@dataclass
class Case:
    """prototxt, weights: the two files; folder: theirs. lmdb: pictures with labels."""

    folder: Path
    prototxt: Path
    weights: Path
    lmdb: Path


def make_case(
    folder: Path,
    *,
    transform: str = "mean_value: 100 mean_value: 110 mean_value: 120 scale: 0.02",
    batch: int = 0,
    records: int = 6,
    seed: int = 0,
    pad: int = 1,
    fields: dict[str, str] | None = None,
    spread: bool = False,
) -> Case:
    """Writes the files of a case. Records are float pictures 0..255 of shape (1, C, H, W)."""
    random = np.random.default_rng(seed + 1)
    lmdb = folder / "pictures"
    if not lmdb.exists():
        samples = [
            (f"{i}", random.integers(0, 256, (1, *SHAPE)).astype(np.float32), i % CLASSES) for i in range(records)
        ]
        write_lmdb(lmdb, samples)
    prototxt = folder / "net_test.prototxt"
    data = DATA.replace("TRANSFORM", transform).replace("SOURCE", "pictures").replace("BATCH", str(batch))
    prototxt.write_text('name: "small"\n' + data + layers(pad, fields))
    return Case(folder, prototxt, write_caffemodel(folder / "net.caffemodel", blobs(seed, spread)), lmdb)
