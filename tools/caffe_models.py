"""Measures Caffe models and writes the figures of docs/caffe.md, below its heading "Figures".

    python -m tools.caffe_models SHARED docs/caffe.md

SHARED is a folder with models/caffe, models/caffe-prototxt and data as this project's tests use it.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from google.protobuf import text_format

from bittrue import api
from bittrue.calibrate.data import Preprocess
from bittrue.calibrate.float_runner import FloatRunner
from bittrue.graph.ir import Graph
from bittrue.importers import CaffeOptions
from bittrue.importers.caffe.net import DROPPED_TYPES, INPUT_TYPES
from bittrue.importers.caffe.read import read_prototxt
from bittrue.ops.boxes import overlap
from tools.caffe_shapes import SHAPES
from tools.real_models import MNIST_IMAGES, Mnist, cosine, mnist_test_set, quantized_outputs

HEADING = "## Figures\n"
CALIBRATION_IMAGES = 20
TARGETS = (("bm1684", "int8"), ("bm1684x", "int8"), ("bm1684", "fp32"))


@dataclass(frozen=True)
class Case:
    """A model and how pictures become its input."""

    name: str
    prototxt: str
    caffemodel: str
    preprocess: Preprocess = field(default_factory=Preprocess)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)


MTCNN = Preprocess(mean=[127.5], scale=[1 / 128])
CASES = [
    Case(
        "lenet",
        "lenet/lenet.prototxt",
        "lenet/lenet_iter_10000.caffemodel",
        Preprocess(scale=[1 / 256]),
        {"data": (1, 1, 28, 28)},
    ),
    Case(
        "cifar10-m4",
        "cifar10-m4/cifar10_m4_train_test.prototxt",
        "cifar10-m4/quantized_cifar10_m4_iter_70000.caffemodel",
        Preprocess(mean=[125.3, 123.0, 113.9]),
        {"data": (1, 3, 32, 32)},
    ),
    Case("mtcnn pnet", "mtcnn/det1.prototxt", "mtcnn/det1.caffemodel", MTCNN, {"data": (1, 3, 120, 160)}),
    Case("mtcnn rnet", "mtcnn/det2.prototxt", "mtcnn/det2.caffemodel", MTCNN),
    Case("mtcnn onet", "mtcnn/det3.prototxt", "mtcnn/det3.caffemodel", MTCNN),
    Case("rfb320", "rfb320/RFB-320.prototxt", "rfb320/RFB-320.caffemodel", Preprocess(mean=[127.0], scale=[1 / 128])),
    Case(
        "yufacedetect-ssd",
        "yufacedetect-ssd/yufacedetectnet-open-v1.prototxt",
        "yufacedetect-ssd/yufacedetectnet-open-v1.caffemodel",
        Preprocess(channels="BGR", mean=[103.94, 116.78, 123.68]),
    ),
]


def float_graph(shared: Path, case: Case) -> Graph:
    folder = shared / "models/caffe"
    return api.load_float(folder / case.prototxt, shapes=case.shapes, caffe=CaffeOptions(folder / case.caffemodel))


def by_opencv(shared: Path, case: Case, graph: Graph, x: np.ndarray) -> dict[str, np.ndarray]:
    """Outputs by OpenCV, of the prototxt without its layers of training."""
    net = read_prototxt(shared / "models/caffe" / case.prototxt)
    kept = [type(n).FromString(n.SerializeToString()) for n in net.layer if n.type not in INPUT_TYPES | DROPPED_TYPES]
    net.ClearField("layer")
    net.layer.extend(kept)
    if not net.input:
        net.input.append(graph.inputs[0])
        net.input_shape.add().dim.extend(x.shape)
    weights = (shared / "models/caffe" / case.caffemodel).read_bytes()
    text = text_format.MessageToString(net).encode()
    other = cv2.dnn.readNetFromCaffe(np.frombuffer(text, np.uint8), np.frombuffer(weights, np.uint8))
    other.setInput(x, graph.inputs[0])
    return {n: np.asarray(other.forward(n)) for n in graph.outputs}


def detections(rows: np.ndarray) -> np.ndarray:
    rows = rows.reshape(-1, 7)
    return rows[rows[:, 1] > 0]


def difference(case: Case, ours: np.ndarray, other: np.ndarray) -> float:
    """The largest difference; detections are compared with the nearest row, since scores that differ in the last place
    change places."""
    if "ssd" not in case.name:
        return float(np.abs(ours - other.reshape(ours.shape)).max())
    ours, other = detections(ours), detections(other)
    if len(ours) != len(other):
        return float("inf")
    return float(np.abs(ours[:, None] - other[None]).max(2).min(1).max(initial=0))


def models(shared: Path) -> tuple[list[str], list[str]]:
    """Rows of the comparison with OpenCV, and of the simulation."""
    floats, simulated = [], []
    for case in CASES:
        graph = float_graph(shared, case)
        name = graph.inputs[0]
        pictures = shared / "data" / ("mnist-png" if case.name == "lenet" else "coco-20")
        data = list(api.records(graph, pictures, case.preprocess, CALIBRATION_IMAGES))
        noise = np.random.default_rng(1).uniform(-1, 1, graph.types[name].shape).astype(np.float32)
        runner = FloatRunner(graph)
        worst = {n: 0.0 for n in graph.outputs}
        for x in [noise, *(r.feeds[name] for r in data)]:
            truth, other = runner.run({name: x}), by_opencv(shared, case, graph, x)
            worst = {n: max(w, difference(case, truth[n], other[n])) for n, w in worst.items()}
        floats.append(
            f"| {case.name} | {1 + len(data)} | " + ", ".join(f"{n} {w:.1e}" for n, w in worst.items()) + " |"
        )
        print(floats[-1], flush=True)
        table = api.calibrate(graph, data, method="max")
        feeds = data[0].feeds
        truth = runner.run(feeds)
        for target, precision in TARGETS:
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder) / "out"
                model = api.compile(graph, target, out, precision=precision, table=table, reference=feeds)
                checked = api.verify(out).summary
            got = quantized_outputs(model, feeds)
            cosines = ", ".join(f"{cosine(truth[n], got[n]):.4f}" for n in graph.outputs)
            simulated.append(
                f"| {case.name} | {target} {precision} | {checked.compared} | {checked.elements:,} | "
                f"{checked.mismatches} | {'see below' if 'ssd' in case.name else cosines} |"
            )
            print(simulated[-1], flush=True)
    return floats, simulated


def lenet(shared: Path) -> list[str]:
    """Top-1 of float and INT8 on the MNIST test set."""
    images, labels = mnist_test_set(shared)
    images = images.astype(np.float32) / 256
    graph = float_graph(shared, CASES[0])
    name, lines = graph.inputs[0], []
    table = api.calibrate(graph, Mnist(images[:200], labels[:200], name), method="max")
    for target, precision in TARGETS:
        model = api.quantize(graph, table.tensors, target, precision=precision)
        result = api.audit(graph, model, Mnist(images[:MNIST_IMAGES], labels[:MNIST_IMAGES], name))
        lines.append(
            f"| {target} {precision} | {result.labelled} | {result.float_rates['top1']:.4f} | "
            f"{result.quantized_rates['top1']:.4f} | {result.lost} / {result.gained} |"
        )
        print(lines[-1], flush=True)
    return lines


def faces(shared: Path) -> list[str]:
    """Boxes of the face detector, float against the chip, above a score of 0.3 on pictures with faces."""
    case, lines = CASES[-1], []
    graph = float_graph(shared, case)
    data = list(api.records(graph, shared / "data/coco-20", case.preprocess, CALIBRATION_IMAGES))
    pictures = [
        shared / "data/coral/face.jpg",
        shared / "data/images/parade.jpg",
        shared / "data/coral/grace_hopper.bmp",
    ]
    tests = [next(iter(api.records(graph, p, case.preprocess))) for p in pictures]
    runner = FloatRunner(graph)
    table = api.calibrate(graph, [*data, *tests], method="max")
    for target, precision in TARGETS:
        model = api.quantize(graph, table.tensors, target, precision=precision)
        matched, wanted, found, shares, scores = 0, 0, 0, [], []
        for record in tests:
            truth = strong(runner.run(record.feeds)["detection_out"])
            got = strong(quantized_outputs(model, record.feeds)["detection_out"])
            wanted, found = wanted + len(truth), found + len(got)
            for row in truth:
                shared_area = overlap(row[3:], got[:, 3:]) if len(got) else np.zeros(1)
                if shared_area.max() >= 0.5:
                    matched += 1
                    shares.append(shared_area.max())
                    scores.append(abs(row[2] - got[shared_area.argmax(), 2]))
        lines.append(
            f"| {target} {precision} | {wanted} | {found} | {matched} | {np.mean(shares):.3f} | {np.max(scores):.3f} |"
        )
        print(lines[-1], flush=True)
    return lines


def strong(rows: np.ndarray) -> np.ndarray:
    rows = detections(rows)
    return rows[rows[:, 2] > 0.3]


def topologies(shared: Path) -> list[str]:
    """Every published prototxt with random weights: nodes, and what each target says."""
    lines = []
    for path in sorted((shared / "models/caffe-prototxt").rglob("*.prototxt")):
        graph = api.load_float(path, shapes=SHAPES.get(path.stem), caffe=CaffeOptions(random_weights=1))
        # Only the structure counts here: thresholds of one, whatever the activations.
        table = {n: Ones for n in graph.activations()}
        verdicts = []
        for target, precision in TARGETS:
            try:
                api.quantize(graph, table, target, precision=precision)
                verdicts.append("yes")
            except Exception as e:
                verdicts.append(str(e))
        layers = len(read_prototxt(path).layer)
        lines.append(
            f"| {path.parent.name}/{path.stem} | {layers} | {len(graph.nodes)} | " + " | ".join(verdicts) + " |"
        )
        print(lines[-1], flush=True)
    return lines


class Ones:
    """A row of a calibration table."""

    threshold = 1.0
    min = -1.0


def main(shared: Path, out: Path) -> None:
    floats, simulated = models(shared)
    figures = [
        HEADING,
        "Made by `python -m tools.caffe_models SHARED docs/caffe.md`.",
        "",
        f"Float graph (onnxruntime, host ops in numpy) against OpenCV {cv2.__version__}'s Caffe importer: the largest",
        "difference of each output over uniform noise and pictures.",
        "",
        "| model | inputs | largest difference |",
        "|---|---|---|",
        *floats,
        "",
        f"Compiled and verified; calibration by MAX on {CALIBRATION_IMAGES} pictures, cosines of the outputs with the",
        "float graph on the first of them.",
        "",
        "| model | target | tensors | elements | mismatches | cosine |",
        "|---|---|---|---|---|---|",
        *simulated,
        "",
        "Faces that yufacedetect-ssd finds above a score of 0.3 on three pictures, which are among those calibrated",
        "on: matched boxes share at least half of their area.",
        "",
        "| target | float boxes | boxes | matched | mean overlap | largest difference of scores |",
        "|---|---|---|---|---|---|",
        *faces(shared),
        "",
        f"lenet on the MNIST test set, {MNIST_IMAGES:,} images, calibration by MAX on the first 200 of them:",
        "",
        "| target | images | float top-1 | top-1 | lost / gained |",
        "|---|---|---|---|---|",
        *lenet(shared),
        "",
        "Published topologies with random weights: layers of the file, nodes of the float graph, and whether a target",
        "takes all of it.",
        "",
        "| prototxt | layers | nodes | " + " | ".join(f"{t} {p}" for t, p in TARGETS) + " |",
        "|---|---|---|---|---|---|",
        *topologies(shared),
        "",
    ]
    head = out.read_text().split(HEADING)[0] if out.exists() else ""
    out.write_text(head + "\n".join(figures))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
