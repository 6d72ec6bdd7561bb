"""One network published in two formats: the same float results, and the same integers from the same thresholds."""

from __future__ import annotations

import numpy as np
import pytest

from bittrue import api
from bittrue.calibrate.data import Record
from bittrue.calibrate.float_runner import FloatRunner
from bittrue.importers import CaffeOptions
from bittrue.runtime.session import Session
from tests.shared import SHARED, needs_shared


@needs_shared
@pytest.mark.parametrize("target", ["bm1684", "bm1684x"])
def test_rfb320_from_caffe_and_from_onnx(target: str) -> None:
    """Of the published ONNX files the one whose folded weights are those of the caffemodel to the last bit; in the
    others some differ by a rounding, and some of their 8-bit codes with them."""
    folder = SHARED / "models/caffe/rfb320"
    caffe = api.load_float(folder / "RFB-320.prototxt", caffe=CaffeOptions(folder / "RFB-320.caffemodel"))
    onnx = api.load_float(SHARED / "models/onnx/rfb320/version-RFB-320_simplified.onnx")
    x = {"input": np.random.default_rng(0).normal(0, 1, (1, 3, 240, 320)).astype(np.float32)}
    values = [FloatRunner(g, list(g.activations())).run(x) for g in (caffe, onnx)]
    for name in caffe.outputs:
        np.testing.assert_allclose(values[0][name], values[1][name], atol=1e-4)
    # tensors of either graph by their values
    partner: dict[str, str] = {}
    for name, value in values[1].items():
        free = [n for n, v in values[0].items() if n not in partner.values() and v.shape == value.shape]
        partner[name] = next(n for n in free if np.allclose(values[0][n], value, atol=1e-4))
    table = api.calibrate(caffe, [Record("0", x)], method="max").tensors
    models = [api.quantize(caffe, table, target), api.quantize(onnx, {n: table[p] for n, p in partner.items()}, target)]
    got = [Session(m.graph).run(x).outputs for m in models]
    for name in caffe.outputs:
        np.testing.assert_array_equal(got[0][name], got[1][name])
