"""Compares all threshold methods on real models and writes the table of docs/calibration.md.

    python -m tools.threshold_methods SHARED docs/calibration.md

SHARED is a folder with models/onnx and data as this project's tests use it.
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from bittrue import api
from bittrue.calibrate.data import Record
from bittrue.calibrate.float_runner import FloatRunner
from bittrue.calibrate.methods import METHODS
from bittrue.graph.ir import Graph
from bittrue.quantize.model import QuantizedModel
from tools.real_models import CASES, mnist_test_set

BEGIN, END = "<!-- methods: begin -->", "<!-- methods: end -->"
TARGETS = ("bm1684", "bm1684x")
DETECTORS = ("rfb320", "yunet", "fastestdet")
PICTURES = 5
LEFT_OUT = {"percentile", "aciq_laplace"}  # percentile9999 with another number, and aciq by its long name


def sqnr(graph: Graph, model: QuantizedModel, records: list[Record]) -> float:
    """SQNR in dB of all network outputs over all records."""
    session, truth = api.Session(model.graph), FloatRunner(graph)
    signal = noise = 0.0
    for record in records:
        got = session.run(api.reference_feeds(model, record.feeds)).outputs
        for (_, want), (_, have) in zip(truth.run(record.feeds).items(), got.items(), strict=True):
            signal += float(np.square(want.astype(np.float64)).sum())
            noise += float(np.square(have.astype(np.float64) - want).sum())
    return 10 * math.log10(signal / noise) if noise else math.inf


def top1(graph: Graph, model: QuantizedModel, images: Any, labels: Any) -> int:
    """Images whose largest output is the label's."""
    session = api.Session(model.graph)
    (name,) = graph.inputs
    right = 0
    for image, label in zip(images, labels, strict=True):
        feeds = api.reference_feeds(model, {name: image.reshape(graph.types[name].shape)})
        (scores,) = session.run(feeds).outputs.values()
        right += int(np.argmax(scores)) == int(label)
    return right


def main() -> None:
    shared, page = Path(sys.argv[1]), Path(sys.argv[2])
    heads = [f"MNIST {t}, right of 10,000" for t in TARGETS]
    heads += [f"{name} {t}, dB" for name in DETECTORS for t in TARGETS]
    rows = ["| method | " + " | ".join(heads) + " | seconds |", "|---" * (len(heads) + 2) + "|"]
    mnist = api.load_float(shared / "models/onnx/mnist/mnist.onnx")
    pixels, labels = mnist_test_set(shared)
    images = pixels.astype(np.float32)
    (name,) = mnist.inputs
    calibration = [Record(str(k), {name: i.reshape(mnist.types[name].shape)}) for k, i in enumerate(images[:100])]
    cases = [c for c in CASES if c.name in DETECTORS]
    for method in sorted(set(METHODS) - LEFT_OUT):
        started = time.perf_counter()
        table = api.calibrate(mnist, calibration, method=method)
        cells = [str(top1(mnist, api.quantize(mnist, table.tensors, t), images, labels)) for t in TARGETS]
        for case in cases:
            graph = api.load_float(shared / "models/onnx" / case.file, shapes=case.shapes)
            records = list(api.records(graph, shared / "data" / case.pictures, case.preprocess, PICTURES))
            table = api.calibrate(graph, records, method=method)
            cells += [f"{sqnr(graph, api.quantize(graph, table.tensors, t), records):.2f}" for t in TARGETS]
        rows.append(f"| {method} | " + " | ".join(cells) + f" | {time.perf_counter() - started:.0f} |")
        print(rows[-1], flush=True)
    content = page.read_text()
    page.write_text(content.split(BEGIN)[0] + BEGIN + "\n" + "\n".join(rows) + "\n" + END + content.split(END)[1])


if __name__ == "__main__":
    sys.exit(main())
