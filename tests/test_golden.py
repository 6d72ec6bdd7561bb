"""The shipped network still computes what was recorded, in the numpy models and in the C++ core."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

import bittrue._core as _core
from bittrue import api
from bittrue.compiler import digest
from bittrue.ops import evaluate_graph

FOLDER = Path(__file__).parents[1] / "reference_data/digits"
GOLDEN = json.loads((FOLDER / "golden.json").read_text())


def test_the_inputs_are_those_of_the_recording() -> None:
    for name, sha256 in GOLDEN["inputs"].items():
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == sha256


@pytest.mark.parametrize("variant", GOLDEN["layers"])
def test_layers(variant: str) -> None:
    target, precision = variant.split()
    graph = api.load_float(FOLDER / "digits.onnx")
    data = api.records(graph, FOLDER / "calibration.npz")
    table = api.calibrate(graph, data, method="max")
    model = api.quantize(graph, table.tensors, target, precision=precision)
    feeds = api.reference_feeds(model, next(iter(data)).feeds)
    runs = [evaluate_graph(model.graph, feeds)]
    for path in filter(_core.path_available, _core.known_paths()):
        for threads in (1, 2, 3, 7):
            runs.append(api.Session(model.graph, path=path, threads=threads).run(feeds, trace=True).trace)
    for run in runs:
        assert {n: digest(run[n]) for n in GOLDEN["layers"][variant]} == GOLDEN["layers"][variant]
