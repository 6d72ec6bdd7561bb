"""A relu after a pool: the pool keeps the signed scale of its input, the relu moves to the unsigned one."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from bittrue import api
from bittrue.calibrate.data import Record
from bittrue.calibrate.float_runner import FloatRunner
from bittrue.graph.onnx_io import from_onnx
from bittrue.graph.passes import run_passes


@pytest.mark.parametrize("target", ["bm1684", "bm1684x"])
@pytest.mark.parametrize("pool", ["MaxPool <kernel_shape = [2, 2]>", "AveragePool <kernel_shape = [2, 2]>"])
def test_scale_after_a_pool(pool: str, target: str) -> None:
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,4,6,6] x) => (float[1,4,5,5] z) {{ a = {pool} (x)  z = Relu(a) }}"""
    )
    graph = from_onnx(model)
    run_passes(graph)
    x = np.random.default_rng(1).uniform(-1, 1, (1, 4, 6, 6)).astype(np.float32)
    table = api.calibrate(graph, [Record("r", {"x": x})], method="max")
    quantized = api.quantize(graph, table.tensors, target)
    truth, got = FloatRunner(graph).run({"x": x})["z"], api.Session(quantized.graph).run({"x": x}).outputs["z"]
    assert np.abs(got - truth).max() < 0.02
