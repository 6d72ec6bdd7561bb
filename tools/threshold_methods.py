"""Compares all threshold methods on labelled data and writes the table of docs/calibration.md.

    python -m tools.threshold_methods SHARED docs/calibration.md

SHARED is a folder with models/onnx and data as this project's tests use it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from bittrue import api
from bittrue.calibrate.data import Record
from bittrue.calibrate.methods import METHODS
from bittrue.graph.ir import Graph
from tools.real_models import mnist_test_set

BEGIN, END = "<!-- methods: begin -->", "<!-- methods: end -->"
TARGETS = ("bm1684", "bm1684x")
DIGITS = Path("reference_data/digits")
LEFT_OUT = {"percentile", "aciq_laplace"}  # percentile9999 with another number, and aciq by its long name
CALIBRATION_IMAGES = 100


def right(graph: Graph, table: Any, target: str, records: list[Record]) -> int:
    """Records whose largest output is the label's, after quantization for a target."""
    model = api.quantize(graph, table.tensors, target)
    session, count = api.Session(model.graph), 0
    for record in records:
        (scores,) = session.run(api.reference_feeds(model, record.feeds)).outputs.values()
        assert record.labels is not None
        count += int(np.argmax(scores)) == int(np.ravel(record.labels)[0])
    return count


def mnist_records(shared: Path, graph: Graph) -> list[Record]:
    """The test set as records."""
    images, labels = mnist_test_set(shared)
    (name,) = graph.inputs
    shape = graph.types[name].shape
    return [
        Record(str(k), {name: image.astype(np.float32).reshape(shape)}, np.asarray([label]))
        for k, (image, label) in enumerate(zip(images, labels, strict=True))
    ]


def main() -> None:
    shared, page = Path(sys.argv[1]), Path(sys.argv[2])
    digits, mnist = (api.load_float(f) for f in (DIGITS / "digits.onnx", shared / "models/onnx/mnist/mnist.onnx"))
    pictures = mnist_records(shared, mnist)
    sets = [
        (
            "digits",
            digits,
            list(api.records(digits, DIGITS / "calibration.npz")),
            list(api.records(digits, DIGITS / "test.npz")),
        ),
        ("MNIST", mnist, pictures[:CALIBRATION_IMAGES], pictures),
    ]
    heads = [f"{name} {t}, right of {len(test):,}" for name, _, _, test in sets for t in TARGETS]
    rows = ["| method | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for method in sorted(set(METHODS) - LEFT_OUT):
        cells = []
        for _, graph, calibration, test in sets:
            table = api.calibrate(graph, calibration, method=method)
            cells += [str(right(graph, table, t, test)) for t in TARGETS]
        rows.append(f"| {method} | " + " | ".join(cells) + " |")
        print(rows[-1], flush=True)
    content = page.read_text()
    page.write_text(content.split(BEGIN)[0] + BEGIN + "\n" + "\n".join(rows) + "\n" + END + content.split(END)[1])


if __name__ == "__main__":
    sys.exit(main())
