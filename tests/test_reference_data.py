"""The shipped example is what its manifest says."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

FOLDER = Path(__file__).parents[1] / "reference_data/digits"
MANIFEST = json.loads((FOLDER / "manifest.json").read_text())


def test_hashes() -> None:
    for name, sha256 in MANIFEST["sha256"].items():
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == sha256, name


def test_float_accuracy() -> None:
    data = np.load(FOLDER / "test.npz")
    session = onnxruntime.InferenceSession(str(FOLDER / "digits.onnx"), providers=["CPUExecutionProvider"])
    right = [
        session.run(None, {"image": x[None]})[0].argmax() == y
        for x, y in zip(data["image"], data["label"], strict=True)
    ]
    assert len(right) == MANIFEST["test_images"] >= 500
    assert np.mean(right) == MANIFEST["float_top1"] >= 0.97


def test_the_network_exercises_what_the_demo_shows() -> None:
    model = onnx.load(FOLDER / "digits.onnx")
    ops = {n.op_type for n in model.graph.node}
    assert {
        "Conv",
        "BatchNormalization",
        "Add",
        "MaxPool",
        "Concat",
        "Sigmoid",
        "GlobalAveragePool",
        "Gemm",
        "Softmax",
    } <= ops
    groups = [a.i for n in model.graph.node if n.op_type == "Conv" for a in n.attribute if a.name == "group"]
    assert max(groups) > 1
