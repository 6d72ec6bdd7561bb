"""Every real model gives the same bytes, all tensors together, on every instruction set path with any number of
threads."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.oracle.test_real_imports import SHAPES
from tests.shared import PATHS, SHARED, needs_shared

from bittrue import api
from bittrue.calibrate.data import Record
from bittrue.quantize.model import QuantizedModel

THREADS = (1, 2, 3, 7)
TARGETS = ("bm1684", "bm1684x")
# The others take seconds to minutes each.
QUICK = ("mnist", "ch_ppocr_mobile_v2.0_cls_infer", "det1", "kws_ref_model", "hello_world_int8", "person_detect")
# Files without a quantized graph: float TFLite, operators outside ONNX, recurrent layers, no inputs, training nets.
NOT_RUN = (
    "quant_model", "shufflenet-v2-12-int8", "silero_vad_16k_op15", "qdq_conv", "cifar10_m4_train_test",
    "pretrainedResnet", "vww_96_float", "version-RFB-320_without_postprocessing.tflite", "hello_world_float",
    "trained_lstm_int8",
)  # fmt: skip
CAFFE_WEIGHTS = {
    "lenet": "lenet_iter_10000",
    "yufacedetectnet-open-v1.352cf0d2": "yufacedetectnet-open-v1",
}  # where the file is not called like the prototxt

Feeds = Mapping[str, np.ndarray[Any, Any]]


def files(suffix: str) -> list[Any]:
    found = sorted((SHARED / "models").rglob(f"*{suffix}")) if SHARED else []
    kept = [f for f in found if f.stem not in NOT_RUN and f.name not in NOT_RUN and "caffe-prototxt" not in f.parts]
    return [pytest.param(f, id=f.stem, marks=() if f.stem in QUICK else pytest.mark.slow) for f in kept]


def random_feeds(inputs: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(1)

    def values(type_: Any) -> np.ndarray[Any, Any]:
        if type_.dtype in ("int8", "uint8"):
            limits = np.iinfo(type_.dtype)
            return rng.integers(limits.min, limits.max, type_.shape, endpoint=True).astype(type_.dtype)
        return rng.uniform(0, 1, type_.shape).astype(type_.dtype)

    return {name: values(type_) for name, type_ in inputs.items()}


def assert_same_bytes(model: QuantizedModel, feeds: Feeds) -> None:
    def digest(path: str, threads: int) -> str:
        digest = hashlib.sha256()
        trace = api.Session(model.graph, path=path, threads=threads).run(feeds, trace=True).trace
        for name, value in trace.items():
            digest.update(name.encode() + value.tobytes())
        return digest.hexdigest()

    want = digest("reference", 2)
    for path in PATHS:
        for threads in THREADS if path != "reference" else ():
            assert digest(path, threads) == want, f"{path}, {threads} threads"


@needs_shared
@pytest.mark.parametrize("file", files(".onnx") + files(".prototxt"))
@pytest.mark.parametrize("target", TARGETS)
def test_float_models(file: Path, target: str) -> None:
    caffe = None
    if file.suffix == ".prototxt":
        caffe = api.CaffeOptions(weights=file.with_name(f"{CAFFE_WEIGHTS.get(file.stem, file.stem)}.caffemodel"))
    graph = api.load_float(file, shapes=SHAPES.get(file.stem), caffe=caffe)
    feeds = random_feeds({n: graph.types[n] for n in graph.inputs})
    model = api.quantize(graph, api.calibrate(graph, [Record("r", feeds)], method="max").tensors, target)
    assert_same_bytes(model, api.reference_feeds(model, feeds))


@needs_shared
@pytest.mark.parametrize("file", files(".tflite"))
def test_quantized_tflite_models(file: Path) -> None:
    model = api.load(file)
    assert_same_bytes(model, random_feeds({n: model.graph.types[n] for n in model.graph.inputs}))
