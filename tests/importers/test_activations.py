"""Activations spelled as several nodes become one only where they are the same function."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from bittrue import api
from bittrue.calibrate.data import Record
from tests.importers.models import imported, model_of

SHAPE = (1, 4, 9, 10)


@pytest.mark.parametrize(
    ("attrs", "ops"),
    [
        ({}, ["HardSigmoid", "Mul"]),
        ({"alpha": 0.2, "beta": 0.5}, ["HardSigmoid", "Mul"]),
        ({"alpha": 1 / 6, "beta": 0.4}, ["HardSigmoid", "Mul"]),
        ({"alpha": 1 / 6}, ["Activation"]),
        ({"alpha": 1 / 6, "beta": 0.5}, ["Activation"]),
    ],
)
@pytest.mark.parametrize("order", [["x", "g"], ["g", "x"]])
def test_hard_swish_has_the_slope_of_a_sixth(
    attrs: dict[str, Any], ops: list[str], order: list[str], tmp_path: Path
) -> None:
    nodes = [helper.make_node("HardSigmoid", ["x"], ["g"], "gate", **attrs), helper.make_node("Mul", order, ["y"], "m")]
    graph = imported(model_of(nodes, {}, 13, SHAPE), tmp_path)
    assert [n.op for n in graph.nodes] == ops


@pytest.mark.parametrize(("target", "precision"), [("bm1684", "int8"), ("bm1684x", "int8"), ("bm1684", "fp32")])
@pytest.mark.parametrize("alpha", [0.2, 1 / 6])
def test_the_quantized_network_has_the_slope_of_the_file(
    alpha: float, target: str, precision: str, tmp_path: Path
) -> None:
    nodes = [
        helper.make_node("HardSigmoid", ["x"], ["g"], "gate", alpha=alpha),
        helper.make_node("Mul", ["x", "g"], ["y"], "mul"),
    ]
    graph = imported(model_of(nodes, {}, 13, SHAPE), tmp_path)
    x = np.linspace(-4, 4, int(np.prod(SHAPE)), dtype=np.float32).reshape(SHAPE)
    table = api.calibrate(graph, [Record("r", {"x": x})], method="max")
    model = api.quantize(graph, table.tensors, target, precision=precision)
    got = api.Session(model.graph).run(api.reference_feeds(model, {"x": x})).outputs["y"]
    want = x * np.clip(alpha * x + 0.5, 0, 1)
    # Steps of the 8-bit result, and of its two factors where they stay apart.
    assert np.max(np.abs(got - want)) < (0.07 if precision == "int8" else 1e-5)
