"""Every real ONNX model that has only ONNX ops is imported and gives the floats of the file in onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from tests.shared import SHARED, needs_shared

from bittrue.errors import UnsupportedError
from bittrue.graph.onnx_io import to_onnx
from bittrue.importers import load_float_graph

SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "ch_PP-OCRv2_det_infer": {"x": (1, 3, 64, 64)},
    "ch_ppocr_mobile_v2.0_cls_infer": {"x": (1, 3, 48, 96)},
    "ch_ppocr_mobile_v2.0_cls_infer.modify": {"x": (1, 3, 48, 96)},
    "yunet_n_dynamic": {"input": (1, 3, 96, 64)},
    "silero_vad_16k_op15": {"input": (1, 576), "state": (2, 1, 128)},
}
HEAVY = ("vgg19", "alexnet", "zfnet512")  # seconds each, and nothing the others do not have
FILES = sorted((SHARED / "models/onnx").rglob("*.onnx")) if SHARED else []


def session(model: Any) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model, options)


@needs_shared
@pytest.mark.parametrize("file", [f for f in FILES if not f.stem.endswith(HEAVY)], ids=lambda f: f.stem)
def test_outputs(file: Any) -> None:
    if file.stem in ("quant_model", "shufflenet-v2-12-int8"):
        with pytest.raises(UnsupportedError, match="operators outside ONNX"):
            load_float_graph(file)
        return
    graph = load_float_graph(file, input_shapes=SHAPES.get(file.stem))
    rng = np.random.default_rng(0)
    feeds = {n: rng.uniform(0, 1, graph.types[n].shape).astype(graph.types[n].dtype) for n in graph.inputs}
    want = session(str(file)).run(graph.outputs, feeds)
    got = session(to_onnx(graph).SerializeToString()).run(graph.outputs, feeds)
    for a, b in zip(want, got, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5 * float(np.abs(a).max()) + 1e-6)
