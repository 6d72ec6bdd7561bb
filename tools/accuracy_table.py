"""Measures classifiers and detectors in float and INT8 and writes the figures of docs/accuracy.md.

    python -m tools.accuracy_table SHARED docs/accuracy.md

SHARED is a folder with models and data as this project's tests use it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from bittrue import api
from bittrue.audit.classify import classify
from bittrue.audit.detection.decoders import load_decoder
from bittrue.audit.detection.run import DetectOptions, DetectResult, Picture, compare_detections, detect, pictures_of
from bittrue.audit.networks import float_network, quantized_network
from bittrue.calibrate.data import Preprocess
from bittrue.graph.ir import Graph
from bittrue.importers import CaffeOptions
from tools.real_models import Mnist, mnist_test_set

HEADING = "## Figures\n"
INT8 = (("bm1684", "int8"), ("bm1684x", "int8"))
METHODS = ("kl", "max")
# name -> pictures; calibration is on the 20 COCO pictures always
SETS = {
    "samples": ("data/images/parade.jpg", "data/images/pose_256_192.jpg", "data/images/dog.jpg", "data/images/cat.jpg",
                "data/images/0.png", "data/images/5.jpg"),
    "faces": ("data/coral/face.jpg", "data/coral/grace_hopper.bmp", "data/images/parade.jpg",
              "data/images/pose_256_192.jpg"),
    "COCO": ("data/coco-20",),
}  # fmt: skip
CALIBRATION = "data/coco-20"
MNIST_CALIBRATION = 200


@dataclass(frozen=True)
class Detector:
    """A network, how pictures become its input, and the score from which its objects count."""

    name: str
    model: str
    decoder: str
    score: float
    preprocess: Preprocess = field(default_factory=Preprocess)
    weights: str | None = None
    sets: tuple[str, ...] = ("samples", "faces", "COCO")
    targets: tuple[tuple[str, str], ...] = INT8


DETECTORS = [
    Detector(
        "yufacedetect-ssd (Caffe)",
        "models/caffe/yufacedetect-ssd/yufacedetectnet-open-v1.prototxt",
        "ssd",
        0.5,
        Preprocess(channels="BGR", mean=[103.94, 116.78, 123.68]),
        "models/caffe/yufacedetect-ssd/yufacedetectnet-open-v1.caffemodel",
        targets=(*INT8, ("bm1684", "fp32")),
    ),
    Detector(
        "rfb320 (Caffe)",
        "models/caffe/rfb320/RFB-320.prototxt",
        "rfb-raw",
        0.7,
        Preprocess(mean=[127.0], scale=[1 / 128]),
        "models/caffe/rfb320/RFB-320.caffemodel",
    ),
    Detector("yunet (ONNX)", "models/onnx/yunet/yunet_n_320_320.onnx", "yunet", 0.6, Preprocess(channels="BGR")),
    Detector(
        "fastestdet (ONNX)",
        "models/onnx/fastestdet/FastestDet.onnx",
        "fastestdet",
        0.65,
        Preprocess(channels="BGR", scale=[1 / 255]),
        sets=("samples", "COCO"),
    ),
]


def load(shared: Path, detector: Detector) -> Graph:
    weights = CaffeOptions(shared / detector.weights) if detector.weights else None
    return api.load_float(shared / detector.model, caffe=weights)


def pictures(shared: Path, detector: Detector, graph: Graph, name: str) -> list[Picture]:
    parts = (pictures_of(api.records(graph, shared / p, detector.preprocess)) for p in SETS[name])
    return list(chain.from_iterable(parts))


def compared(shared: Path, detector: Detector) -> Iterator[tuple[str, str, str, DetectResult]]:
    """(set, method, target, result) of every combination."""
    graph = load(shared, detector)
    data = api.records(graph, shared / CALIBRATION, detector.preprocess)
    reference, decoder = float_network(graph), load_decoder(detector.decoder)
    options = DetectOptions(score=detector.score)
    sets = {name: pictures(shared, detector, graph, name) for name in detector.sets}
    truth = {name: detect(reference, chosen, decoder, options) for name, chosen in sets.items()}
    for method in METHODS:
        table = api.calibrate(graph, data, method=method)
        for target, precision in detector.targets:
            if precision == "fp32" and method != METHODS[0]:
                continue  # needs no thresholds
            network = quantized_network(api.quantize(graph, table.tensors, target, precision=precision), graph.outputs)
            for name, chosen in sets.items():
                got = detect(network, chosen, decoder, options)
                result = compare_detections(chosen, truth[name], got, options)
                yield name, method if precision == "int8" else "-", network.name, result


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def detector_rows(shared: Path, detector: Detector) -> list[str]:
    rows = []
    for name, method, target, r in compared(shared, detector):
        rows.append(
            f"| {name}, {r.pictures} | {target} | {method} | {r.float_boxes} | {r.boxes} | {r.matched} | "
            f"{r.missing} ({r.weak_missing}) | {r.extra} ({r.weak_extra}) | {number(r.mean_overlap)} | "
            f"{number(r.least_overlap)} | {number(r.score_difference)} | {number(r.against_float.voc)} | "
            f"{number(r.against_float.coco)} |"
        )
        print(detector.name, rows[-1], flush=True)
    return sorted(rows, key=lambda row: list(SETS).index(row[2:].split(",")[0]))


def lenet_rows(shared: Path) -> list[str]:
    images, labels = mnist_test_set(shared)
    scaled = images / 256
    folder = shared / "models/caffe/lenet"
    graph = api.load_float(
        folder / "lenet.prototxt",
        shapes={"data": (1, 1, 28, 28)},
        caffe=CaffeOptions(folder / "lenet_iter_10000.caffemodel"),
    )
    rows = []
    for method in METHODS:
        data = Mnist(scaled[:MNIST_CALIBRATION], labels[:MNIST_CALIBRATION], "data")
        table = api.calibrate(graph, data, method=method)
        for target, precision in INT8:
            network = quantized_network(api.quantize(graph, table.tensors, target, precision=precision), graph.outputs)
            result = classify(float_network(graph), network, Mnist(scaled, labels, "data"), (1, 5))
            cells = [
                f"{r.share('float'):.4f} | {r.share('quantized'):.4f} | {r.lost} / {r.gained} | {r.ties['quantized']}"
                for r in result.rates
            ]
            rows.append(f"| {network.name} | {method} | {' | '.join(cells)} | {result.flips} |")
            print(rows[-1], flush=True)
    return rows


def section(shared: Path) -> Sequence[str]:
    lines = [
        HEADING,
        "Made by `python -m tools.accuracy_table SHARED docs/accuracy.md`.",
        "",
        "### Detectors",
        "",
        "Calibrated on the 20 COCO pictures, so the set COCO is judged on its own calibration data; no picture of the",
        "other sets is among them. In brackets: boxes that the other network sees too, with a score below the limit.",
        "IoU and score differences are of matched boxes; mAP takes the float network's boxes as the truth.",
        "",
    ]
    for detector in DETECTORS:
        lines += [
            f"**{detector.name}**, decoder `{detector.decoder}`, scores from {detector.score:g}:",
            "",
            "| pictures | network | method | float boxes | boxes | matched | missing | extra | mean IoU | least IoU "
            "| score diff. | mAP VOC | mAP COCO |",
            "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
            *detector_rows(shared, detector),
            "",
        ]
    return [
        *lines,
        "### Classifiers",
        "",
        f"Caffe's lenet on the 10,000 MNIST test images, calibrated on the first {MNIST_CALIBRATION} of them. By ties:",
        "right only because another class has the same score.",
        "",
        "| network | method | float top-1 | top-1 | lost / gained | by ties | float top-5 | top-5 | lost / gained "
        "| by ties | flips |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *lenet_rows(shared),
        "",
    ]


def main(shared: Path, out: Path) -> None:
    figures = "\n".join(section(shared))
    head = out.read_text().split(HEADING)[0] if out.exists() else ""
    out.write_text(head + figures)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
