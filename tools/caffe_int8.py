"""Compiles published Caffe topologies with random weights in INT8, simulates them and writes the table of
docs/sophgo-quantization.md, below its heading "Networks".

    python -m tools.caffe_int8 SHARED docs/sophgo-quantization.md

SHARED is a folder with models/caffe-prototxt as this project's tests use it. Every layer of the simulation is compared
with the numpy models of the ops, of which the reference data is made.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bittrue import api
from bittrue.calibrate.data import Record
from bittrue.importers import CaffeOptions
from tools.caffe_shapes import SHAPES

HEADING = "## Networks\n"
TARGETS = ("bm1684", "bm1684x")
NETWORKS = {
    "MobileNet v1": "mobilenet-caffe/mobilenet_deploy",
    "MobileNet v2": "mobilenet-caffe/mobilenet_v2_deploy",
    "SqueezeNet 1.1": "squeezenet/SqueezeNet_v1.1__deploy",
    "GoogLeNet": "caffe/models__bvlc_googlenet__deploy",
    "ResNet-50": "deep-residual-networks/prototxt__ResNet-50-deploy",
    "MobileNet-SSD": "mobilenet-ssd/voc__MobileNetSSD_deploy",
    "VGG SSD300": "caffe/models__intel_optimized_models__benchmark__ssd__deploy",
}


def row(name: str, path: Path) -> str:
    """Mismatching elements of all elements, for every target."""
    given = SHAPES.get(path.stem)
    graph = api.load_float(path, shapes=given, caffe=CaffeOptions(random_weights=1))
    if any(graph.types[n].shape[0] > 1 for n in graph.inputs):
        shapes = {n: (1, *graph.types[n].shape[1:]) for n in graph.inputs}
        graph = api.load_float(path, shapes=shapes, caffe=CaffeOptions(random_weights=1))
    random = np.random.default_rng(0)
    records = [
        Record(str(i), {n: random.normal(0, 50, graph.types[n].shape).astype(np.float32) for n in graph.inputs})
        for i in range(2)
    ]
    table = api.calibrate(graph, records, method="max")
    cells = []
    for target in TARGETS:
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            api.compile(graph, target, Path(folder) / "o", table=table, reference=records[0].feeds)
            result = api.verify(Path(folder) / "o")
        tensors = [t for net in result.nets for t in net.tensors]
        cells.append(f"{sum(t.n_bad for t in tensors):,} of {sum(t.n for t in tensors):,}")
        print(f"{name} {target}: {cells[-1]} in {time.monotonic() - started:.0f} s", flush=True)
    return f"| {name} | {len(graph.nodes)} | " + " | ".join(cells) + " |"


def main(shared: Path, page: Path) -> None:
    text = [
        HEADING,
        "Made by `python -m tools.caffe_int8 SHARED docs/sophgo-quantization.md`: published topologies with random",
        "weights, calibrated on noise, compiled in INT8 and verified: elements of all layers that differ from the",
        "numpy models of the ops.",
        "",
        "| network | nodes | " + " | ".join(TARGETS) + " |",
        "|---|---|" + "---|" * len(TARGETS),
        *(row(name, shared / "models/caffe-prototxt" / f"{file}.prototxt") for name, file in NETWORKS.items()),
        "",
    ]
    page.write_text(page.read_text().split(HEADING)[0] + "\n".join(text))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
