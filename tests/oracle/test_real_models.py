"""Real networks on both targets: every element of every layer is the same in the C++ core and the numpy models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.shared import SHARED, needs_shared

from bittrue import api
from bittrue.calibrate.data import Record
from bittrue.calibrate.float_runner import FloatRunner

MODELS: dict[str, tuple[str, dict[str, tuple[int, ...]]]] = {
    "rfb320": ("rfb320/version-RFB-320_without_postprocessing.onnx", {}),
    "yunet": ("yunet/yunet_n_320_320.onnx", {}),
    "fastestdet": ("fastestdet/FastestDet.onnx", {}),
    "ppocr-det": ("ppocr/ch_PP-OCRv2_det_infer.onnx", {"x": (1, 3, 160, 160)}),
    "ppocr-cls": ("ppocr/ch_ppocr_mobile_v2.0_cls_infer.onnx", {"x": (1, 3, 48, 192)}),
    "mnist": ("mnist/mnist.onnx", {}),
    "super-resolution": ("super-resolution/super_resolution.onnx", {}),
}
LIGHT = ("squeezenet", "shufflenet", "resnet50", "inception_v2")


@needs_shared
@pytest.mark.parametrize(("target", "precision"), [("bm1684", "int8"), ("bm1684x", "int8"), ("bm1684", "fp32")])
@pytest.mark.parametrize("name", MODELS)
def test_compile_and_verify(name: str, target: str, precision: str, tmp_path: Path) -> None:
    assert SHARED is not None
    file, shapes = MODELS[name]
    if name == "super-resolution" and precision == "fp32":
        pytest.skip("13 s in the numpy models; part of docs/real-models.md")
    graph = api.load_float(SHARED / "models/onnx" / file, shapes=shapes)
    rng = np.random.default_rng(1)
    feeds = {n: rng.uniform(0, 1, graph.types[n].shape).astype(np.float32) for n in graph.inputs}
    table = api.calibrate(graph, [Record("r", feeds)], method="max")
    model = api.compile(graph, target, tmp_path / "c", precision=precision, table=table, reference=feeds)
    result = api.verify(tmp_path / "c")
    assert result.summary.passed and result.summary.mismatches == 0
    assert result.summary.compared == len(result.nets[0].tensors)
    if precision == "fp32":
        truth, got = FloatRunner(graph).run(feeds), api.Session(model.graph).run(feeds).outputs
        for n in graph.outputs:
            np.testing.assert_allclose(got[n], truth[n], rtol=1e-3, atol=1e-3 * np.abs(truth[n]).max() + 1e-6)


@needs_shared
@pytest.mark.parametrize("name", LIGHT)
def test_light_models_have_the_structure_the_targets_need(name: str) -> None:
    assert SHARED is not None
    graph = api.load_float(SHARED / f"models/onnx/light/light_{name}.onnx")
    rng = np.random.default_rng(1)
    feeds = {n: rng.normal(0, 1, graph.types[n].shape).astype(np.float32) for n in graph.inputs}
    table = api.calibrate(graph, [Record("r", feeds)], method="max")
    for target in ("bm1684", "bm1684x"):
        model = api.quantize(graph, table.tensors, target)
        convolutions = sum(1 for n in graph.nodes if n.op == "Conv")
        assert sum(1 for n in model.graph.nodes if n.op == "Conv2d") == convolutions
