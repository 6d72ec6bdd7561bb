"""The TFLite form of a benchmark network computes what the float network does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from benchmarks.net import Net
from benchmarks.tflite_export import float_values, nhwc, tflite_ops
from benchmarks.topologies import build
from tools.tflite_writer import write_tflite

from bittrue.errors import UnsupportedError
from bittrue.importers.tflite_quantized import load_tflite
from bittrue.runtime.session import Session
from tests.benchmarks.tiny import TINY


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, onnx.ModelProto, dict[str, np.ndarray]]:
    model, _ = build(TINY)
    feeds = {"input": np.random.default_rng(1).normal(0, 1, (1, 3, 16, 16)).astype(np.float32)}
    path = tmp_path_factory.mktemp("tflite") / "tiny.tflite"
    path.write_bytes(write_tflite(tflite_ops(model, feeds)))
    return path, model, feeds


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def test_litert_computes_the_float_network(written):
    dump = pytest.importorskip("tools.litert_dump", reason="LiteRT is not installed")
    path, model, feeds = written
    expected = float_values(model, feeds)
    inputs = {"input/float": nhwc(feeds["input"])}
    for reference in (True, False):
        got = dump.litert_dump(path, inputs, reference=reference)
        for o in model.graph.output:
            assert cosine(got[f"{o.name}/float"], nhwc(expected[o.name])) > 0.99


def test_our_tflite_target_agrees_with_litert_in_every_element(written):
    dump = pytest.importorskip("tools.litert_dump", reason="LiteRT is not installed")
    path, _, feeds = written
    quantized = load_tflite(path)
    assert quantized.meta["left_out"] == []
    got = Session(quantized.graph).run({"input/float": feeds["input"]}).outputs
    expected = dump.litert_dump(path, {"input/float": nhwc(feeds["input"])})
    assert len(got) == 2
    for name, value in got.items():
        np.testing.assert_array_equal(nhwc(value), expected[name])


def test_a_node_that_cannot_be_written_is_named():
    net = Net(8, 8)
    model = net.model([net.relu("input")])
    with pytest.raises(UnsupportedError, match=r"'relu0': Relu is not written"):
        tflite_ops(model, {"input": np.ones((1, 3, 8, 8), np.float32)})


def test_pads_that_tflite_cannot_say_are_refused():
    net = Net(8, 8)
    model = net.model([net.conv("input", 4, 3)])
    pads = next(a for a in model.graph.node[0].attribute if a.name == "pads")
    pads.ints[:] = [2, 2, 0, 0]
    with pytest.raises(UnsupportedError, match=r"conv0.*neither SAME nor VALID"):
        tflite_ops(model, {"input": np.ones((1, 3, 8, 8), np.float32)})
