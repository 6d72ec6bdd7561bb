"""Quantizes the MTCNN cascade net by net, compares it with the float one and writes docs/cascades.md's figures.

    python -m tools.mtcnn_cascade SHARED docs/cascades.md [--pictures FOLDER]

SHARED is a folder with models/caffe/mtcnn and data as this project's tests use it. FOLDER gets the pictures with boxes
and landmarks of every cascade drawn on them, and a page that shows them side by side.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bittrue import api
from bittrue.audit.detection.boxes import Detections
from bittrue.audit.detection.drawing import write_picture
from bittrue.audit.detection.matching import match
from bittrue.audit.networks import Network, shaped_float_network, shaped_quantized_network
from bittrue.calibrate.table import CalibrationTable
from bittrue.cascade import mtcnn
from bittrue.cascade.capture import Capture
from bittrue.containers.lmdb_folder import read_lmdb
from bittrue.graph.shaped import ShapedGraphs
from bittrue.importers import CaffeOptions

HEADING = "## Figures\n"
NETS = (("pnet", 1, 12), ("rnet", 2, 24), ("onet", 3, 48))
TARGETS = ("bm1684", "bm1684x")
METHODS = ("max", "kl", "percentile9999", "mse")
RECORDS = 2000
# Shown to no calibration.
TESTS = (
    "data/images/parade.jpg", "data/images/pose_256_192.jpg", "data/images/cat.jpg", "data/images/dog.jpg",
    "data/coral/face.jpg", "data/coral/grace_hopper.bmp",
)  # fmt: skip


def graphs_of(shared: Path) -> list[ShapedGraphs]:
    """The three networks at their smallest inputs."""
    folder = shared / "models/caffe/mtcnn"
    return [
        api.load_shaped(
            folder / f"det{n}.prototxt",
            shapes={"data": (1, 3, side, side)},
            caffe=CaffeOptions(folder / f"det{n}.caffemodel"),
        )
        for _, n, side in NETS
    ]


def capture_inputs(networks: list[Network], pictures: list[Path], folder: Path) -> dict[str, Path]:
    """LMDB folders with the inputs of each network in real inferences of the ones before it."""
    folders = {name: folder / f"{name}_lmdb" for name, _, _ in NETS}
    captures = [Capture({"data": path}, limit=RECORDS) for path in folders.values()]
    with captures[0], captures[1], captures[2]:
        watched = [c.of(n) for c, n in zip(captures, networks, strict=True)]
        for picture in pictures:
            mtcnn.detect(*watched, Image.open(picture))
    return folders


def captured_rows(folders: Mapping[str, Path]) -> list[str]:
    rows = []
    for name, folder in folders.items():
        shapes = [sample.array.shape[2:] for _, sample in read_lmdb(folder)]
        rows.append(
            f"| {name} | {len(shapes)} | {len(set(shapes))} | {'x'.join(map(str, min(shapes)))} to "
            f"{'x'.join(map(str, max(shapes)))} |"
        )
    return rows


def tables_of(graphs: list[ShapedGraphs], folders: Mapping[str, Path], method: str) -> list[CalibrationTable]:
    return [
        api.calibrate(g, api.records(g.graph, path, any_shape=True), method=method)
        for g, path in zip(graphs, folders.values(), strict=True)
    ]


def verified_rows(graphs: list[ShapedGraphs], tables: list[CalibrationTable], folders: Mapping[str, Path]) -> list[str]:
    """Compiles and verifies every network, at the shape of its first record."""
    rows = []
    for (name, _, _), graph, table, records in zip(NETS, graphs, tables, folders.values(), strict=True):
        _, sample = next(read_lmdb(records))
        for target in TARGETS:
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder) / "out"
                feeds = {"data": sample.array}
                at = graph.at({"data": sample.array.shape})
                api.compile(at, target, out, table=table, reference=feeds, net_name=name)
                checked = api.verify(out).summary
            shape = "x".join(map(str, sample.array.shape))
            rows.append(
                f"| {name} {shape} | {target} | {checked.compared} | {checked.elements:,} | {checked.mismatches} |"
            )
            print(rows[-1], flush=True)
    return rows


@dataclass(frozen=True)
class Score:
    """Totals over the test pictures. shift: of landmarks of matched faces, in fractions of the box's width."""

    float_faces: int
    faces: int
    matched: int
    mean_overlap: float
    score_difference: float
    mean_shift: float
    largest_shift: float


def score(truth: list[Detections], found: list[Detections]) -> Score:
    matchings = [match(a, b) for a, b in zip(truth, found, strict=True)]
    pairs = [(p, a, b) for m, a, b in zip(matchings, truth, found, strict=True) for p in m.pairs]
    shifts = [shift(a, p.reference, b, p.got) for p, a, b in pairs] or [0.0]
    return Score(
        sum(map(len, truth)),
        sum(map(len, found)),
        len(pairs),
        float(np.mean([p.overlap for p, _, _ in pairs] or [0.0])),
        max([p.score_difference for p, _, _ in pairs], default=0.0),
        float(np.mean(shifts)),
        max(shifts),
    )


def shift(a: Detections, i: int, b: Detections, j: int) -> float:
    """The mean distance of the five landmarks of a face in two cascades, in widths of its box."""
    distances = np.linalg.norm(a.points[i] - b.points[j], axis=1)
    return float(distances.mean() / (a.boxes[i, 2] - a.boxes[i, 0]))


def score_row(method: str, target: str, s: Score) -> str:
    return (
        f"| {method} | {target} | {s.float_faces} | {s.faces} | {s.matched} | {s.mean_overlap:.3f} | "
        f"{s.score_difference:.3f} | {s.mean_shift:.3f} | {s.largest_shift:.3f} |"
    )


def draw(folder: Path, pictures: list[Path], found: Mapping[str, list[Detections]]) -> None:
    """A PNG of every picture and cascade, and a page with one row a picture."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for i, picture in enumerate(pictures):
        cells = []
        for name, detections in found.items():
            file = folder / f"{picture.stem}_{name.replace(' ', '_')}.png"
            write_picture(picture, detections[i], file)
            cells.append(f"<td><img src='{file.name}' width='480'><br>{name}: {len(detections[i])} faces</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    page = f"<!doctype html><meta charset='utf-8'><title>MTCNN</title><table>{''.join(rows)}</table>\n"
    (folder / "index.html").write_text(page)


def main(shared: Path, out: Path, pictures: Path | None) -> None:
    graphs = graphs_of(shared)
    floats = [shaped_float_network(g) for g in graphs]
    calibration = sorted((shared / "data/coco-20").glob("*.jpg"))
    tests = [shared / t for t in TESTS]
    truth = [mtcnn.detect(*floats, Image.open(t)) for t in tests]
    drawn = {"float": truth}
    scored: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        folders = capture_inputs(floats, calibration, Path(folder))
        captured = captured_rows(folders)
        print(*captured, sep="\n", flush=True)
        for method in METHODS:
            tables = tables_of(graphs, folders, method)
            if method == METHODS[0]:
                verified = verified_rows(graphs, tables, folders)
            for target in TARGETS:
                nets = [shaped_quantized_network(g, t, target) for g, t in zip(graphs, tables, strict=True)]
                found = [mtcnn.detect(*nets, Image.open(t)) for t in tests]
                scored.append(score_row(method, target, score(truth, found)))
                print(scored[-1], flush=True)
                if method == METHODS[0]:
                    drawn[f"{target} INT8"] = found
    if pictures:
        draw(pictures, tests, drawn)
    figures = [
        HEADING,
        "Made by `python -m tools.mtcnn_cascade SHARED docs/cascades.md --pictures FOLDER`.",
        "",
        f"Inputs captured in float inferences on {len(calibration)} pictures, at most {RECORDS} of a network:",
        "",
        "| network | records | shapes | W x H |",
        "|---|---|---|---|",
        *captured,
        "",
        f"Compiled and verified, thresholds by {METHODS[0]}:",
        "",
        "| network | target | tensors | elements | mismatches |",
        "|---|---|---|---|---|",
        *verified,
        "",
        f"The INT8 cascade against the float cascade on {len(tests)} pictures that no calibration saw. Matched: boxes",
        "that share at least half of their union. Landmarks: mean distance of the five points of a matched face, in",
        "widths of its box, the mean over the faces and the worst face.",
        "",
        "| method | target | float faces | INT8 faces | matched | overlap | score difference, worst | mean | worst |",
        "|---|---|---|---|---|---|---|---|---|",
        *scored,
        "",
    ]
    head = out.read_text().split(HEADING)[0] if out.exists() else ""
    out.write_text(head + "\n".join(figures))


def arguments() -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--pictures", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    given = arguments()
    main(given.shared, given.out, given.pictures)
