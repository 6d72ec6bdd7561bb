"""Compares all threshold methods on real models and writes the two tables of docs/calibration.md.

    python -m tools.threshold_methods SHARED docs/calibration.md

SHARED is a folder with models and data as this project's tests use it. Classifiers are measured by top-1, detectors and
the like by the SQNR of their worst output on pictures that were not calibrated on.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bittrue import api
from bittrue.audit.sensitivity import MixedNetwork
from bittrue.calibrate import collect, thresholds
from bittrue.calibrate.data import Preprocess, Record
from bittrue.calibrate.methods import METHODS, Parameters
from bittrue.graph.ir import Graph
from tools import caffe_models, real_models

TOP1 = ("<!-- methods: begin -->", "<!-- methods: end -->")
SIGNAL = ("<!-- methods by signal: begin -->", "<!-- methods by signal: end -->")
TARGETS = ("bm1684", "bm1684x")
DIGITS = Path("reference_data/digits")
LEFT_OUT = {"percentile", "aciq_laplace"}  # percentile9999 with another number, and aciq by its long name
CALIBRATION_IMAGES = 100
PICTURES = 10  # of 20: the first are calibrated on, the others measured


@dataclass(frozen=True)
class Subject:
    """A network, records to calibrate on and others to measure."""

    name: str
    graph: Graph
    calibration: Sequence[Record]
    test: Sequence[Record]


def mnist_records(shared: Path, graph: Graph, scale: float = 1.0) -> list[Record]:
    """The test set as records, pixels times `scale`."""
    images, labels = real_models.mnist_test_set(shared)
    (name,) = graph.inputs
    shape = graph.types[name].shape
    return [
        Record(str(k), {name: image.astype(np.float32).reshape(shape) * np.float32(scale)}, np.asarray([label]))
        for k, (image, label) in enumerate(zip(images, labels, strict=True))
    ]


def classifiers(shared: Path) -> Iterator[Subject]:
    digits = api.load_float(DIGITS / "digits.onnx")
    data = [list(api.records(digits, DIGITS / f"{part}.npz")) for part in ("calibration", "test")]
    yield Subject("digits", digits, *data)
    mnist = api.load_float(shared / "models/onnx/mnist/mnist.onnx")
    records = mnist_records(shared, mnist)
    yield Subject("MNIST", mnist, records[:CALIBRATION_IMAGES], records)
    lenet = caffe_models.float_graph(shared, next(c for c in caffe_models.CASES if c.name == "lenet"))
    records = mnist_records(shared, lenet, 1 / 256)
    yield Subject("Caffe lenet", lenet, records[:CALIBRATION_IMAGES], records)


def others(shared: Path) -> Iterator[Subject]:
    """Networks without labels, on pictures."""
    for onnx in real_models.CASES:
        graph = api.load_float(shared / "models/onnx" / onnx.file, shapes=onnx.shapes)
        yield _on_pictures(onnx.name, graph, shared / "data" / onnx.pictures, onnx.preprocess)
    for caffe in caffe_models.CASES:
        if caffe.name.startswith(("mtcnn pnet", "yufacedetect")):
            graph = caffe_models.float_graph(shared, caffe)
            yield _on_pictures(caffe.name, graph, shared / "data/coco-20", caffe.preprocess)


def _on_pictures(name: str, graph: Graph, folder: Path, preprocess: Preprocess) -> Subject:
    records = list(api.records(graph, folder, preprocess))
    return Subject(name, graph, records[:PICTURES], records[PICTURES:])


def right(network: MixedNetwork) -> str:
    """Records whose largest output is the label's."""
    top1 = network.simulate(network.whole).top1
    assert top1 is not None
    return str(round(top1 * network.labelled))


def signal(network: MixedNetwork) -> str:
    """SQNR of the worst output."""
    sqnr = network.simulate(network.whole).sqnr_db
    return "-" if sqnr is None else f"{sqnr:.1f}"


def table(subjects: Sequence[Subject], unit: str, cell: Callable[[MixedNetwork], str]) -> list[str]:
    """A row a method, a column a network and target."""
    heads = [f"{s.name} {t}{unit.format(len(s.test))}" for s in subjects for t in TARGETS]
    rows = ["| method | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    cells: dict[str, list[str]] = {m: [] for m in sorted(set(METHODS) - LEFT_OUT)}
    for s in subjects:
        statistics = collect(s.graph, s.calibration, [METHODS[m] for m in cells], Parameters())
        for method, row in cells.items():
            tensors = thresholds(statistics, method).tensors
            row += [cell(MixedNetwork(s.graph, tensors, t, s.test)) for t in TARGETS]
        print(f"{s.name}: {[(m, r[-len(TARGETS) :]) for m, r in cells.items()]}", flush=True)
    return rows + [f"| {m} | " + " | ".join(row) + " |" for m, row in cells.items()]


def main() -> None:
    shared, page = Path(sys.argv[1]), Path(sys.argv[2])
    tables = {
        TOP1: table(list(classifiers(shared)), ", right of {:,}", right),
        SIGNAL: table(list(others(shared)), "", signal),
    }
    content = page.read_text()
    for (begin, end), rows in tables.items():
        content = content.split(begin)[0] + begin + "\n" + "\n".join(rows) + "\n" + end + content.split(end)[1]
    page.write_text(content)


if __name__ == "__main__":
    main()
