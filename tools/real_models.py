"""Compiles and verifies real models for both targets and writes the table of docs/real-models.md.

    python tools/real_models.py SHARED docs/real-models.md

SHARED is a folder with models/onnx and data as this project's tests use it.
"""

from __future__ import annotations

import gzip
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bittrue import api
from bittrue.calibrate.data import Preprocess, Record, Records
from bittrue.calibrate.float_runner import FloatRunner
from bittrue.quantize.model import QuantizedModel

CALIBRATION_IMAGES = 20
MNIST_IMAGES = 10_000


@dataclass(frozen=True)
class Case:
    """A model, the pictures it is calibrated on and how they become tensors."""

    name: str
    file: str
    pictures: str
    preprocess: Preprocess = field(default_factory=Preprocess)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)


CASES = [
    Case(
        "rfb320",
        "rfb320/version-RFB-320_without_postprocessing.onnx",
        "coco-20",
        Preprocess(mean=[127.0], scale=[1 / 128]),
    ),
    Case("yunet", "yunet/yunet_n_320_320.onnx", "coco-20", Preprocess(channels="BGR")),
    Case("fastestdet", "fastestdet/FastestDet.onnx", "coco-20", Preprocess(channels="BGR", scale=[1 / 255])),
    Case(
        "ppocr detector",
        "ppocr/ch_PP-OCRv2_det_infer.onnx",
        "coco-20",
        Preprocess(mean=[123.675, 116.28, 103.53], scale=[1 / 58.395, 1 / 57.12, 1 / 57.375]),
        {"x": (1, 3, 320, 320)},
    ),
    Case(
        "ppocr classifier",
        "ppocr/ch_ppocr_mobile_v2.0_cls_infer.onnx",
        "coco-20",
        Preprocess(mean=[127.5], scale=[1 / 127.5]),
        {"x": (1, 3, 48, 192)},
    ),
    Case("super-resolution", "super-resolution/super_resolution.onnx", "coco-20", Preprocess(scale=[1 / 255])),
]


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    return float(a @ b / (np.sqrt((a @ a) * (b @ b)) or 1.0))


def quantized_outputs(model: QuantizedModel, feeds: dict[str, Any]) -> dict[str, np.ndarray]:
    return api.Session(model.graph).run(api.reference_feeds(model, feeds)).outputs


def rows(shared: Path) -> list[str]:
    """One row per model, target and precision."""
    lines = []
    for case in CASES:
        graph = api.load_float(shared / "models/onnx" / case.file, shapes=case.shapes)
        data = api.records(graph, shared / "data" / case.pictures, case.preprocess, CALIBRATION_IMAGES)
        table = api.calibrate(graph, data, method="max")
        feeds = next(iter(data)).feeds
        truth = FloatRunner(graph).run(feeds)
        for target, precision in (("bm1684", "int8"), ("bm1684x", "int8"), ("bm1684", "fp32")):
            with tempfile.TemporaryDirectory() as folder:
                model = api.compile(
                    graph, target, Path(folder) / "out", precision=precision, table=table, reference=feeds
                )
                checked = api.verify(Path(folder) / "out").summary
            got = quantized_outputs(model, feeds)
            cosines = ", ".join(f"{cosine(truth[n], got[n]):.4f}" for n in graph.outputs)
            audit = api.audit(graph, model, list(data)[:2])
            worst = min((e for e in audit.layers if e.sqnr_db is not None), key=lambda e: e.sqnr_db or 0.0)
            lines.append(
                f"| {case.name} | {target} {precision} | {checked.compared} | {checked.elements:,} | "
                f"{checked.mismatches} | {cosines} | {worst.name} ({worst.op}), {worst.sqnr_db:.1f} dB |"
            )
            print(lines[-1], flush=True)
    return lines


class Mnist(Records):
    """The MNIST test set as records."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, name: str) -> None:
        self.images, self.labels, self.name = images, labels, name

    def __iter__(self) -> Any:
        for i, (image, label) in enumerate(zip(self.images, self.labels, strict=True)):
            yield Record(f"t10k[{i}]", {self.name: image[None, None].astype(np.float32)}, np.asarray([label]))


def mnist_test_set(shared: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images (10000, 28, 28) and labels."""
    folder = shared / "data/mnist"
    images = np.frombuffer(gzip.decompress((folder / "t10k-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16)
    labels = np.frombuffer(gzip.decompress((folder / "t10k-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    return images.reshape(-1, 28, 28), labels


def mnist(shared: Path) -> list[str]:
    """Top-1 of float and INT8 on the MNIST test set."""
    images, labels = mnist_test_set(shared)
    graph = api.load_float(shared / "models/onnx/mnist/mnist.onnx")
    name = graph.inputs[0]
    table = api.calibrate(graph, Mnist(images[:200], labels[:200], name), method="max")
    lines = []
    for target in ("bm1684", "bm1684x"):
        model = api.quantize(graph, table.tensors, target)
        result = api.audit(graph, model, Mnist(images[:MNIST_IMAGES], labels[:MNIST_IMAGES], name))
        lines.append(
            f"| mnist | {target} int8 | {result.labelled} | {result.float_rates['top1']:.4f} | "
            f"{result.quantized_rates['top1']:.4f} | {result.agreement:.4f} | {result.lost} / {result.gained} | "
            f"{result.mcnemar_p:.3g} |"
        )
        print(lines[-1], flush=True)
    return lines


def main(shared: Path, out: Path) -> None:
    text = [
        "# Real models",
        "",
        "Made by `python tools/real_models.py SHARED docs/real-models.md`: calibration by MAX on",
        f"{CALIBRATION_IMAGES} COCO pictures, reference data from the numpy models, simulation by the C++ core.",
        "Mismatches count every element of",
        "every layer and output; the cosines compare the network outputs with onnxruntime's float results on the first",
        "picture; the worst layer is the one with the least SQNR over two pictures. The pictures are not those the",
        "models were trained for, so the cosines judge the arithmetic, not the task.",
        "",
        "| model | target | tensors | elements | mismatches | cosine of the outputs | worst layer |",
        "|---|---|---|---|---|---|---|",
        *rows(shared),
        "",
        f"MNIST test set, {MNIST_IMAGES:,} images, calibration by MAX on the first 200 of them:",
        "",
        "| model | target | images | float top-1 | INT8 top-1 | agreement | lost / gained | McNemar p |",
        "|---|---|---|---|---|---|---|---|",
        *mnist(shared),
        "",
    ]
    out.write_text("\n".join(text))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
