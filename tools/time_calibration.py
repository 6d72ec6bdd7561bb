"""What calibration costs beside the float inference that feeds it: ResNet-50 with random weights, both in turn.

    python -m tools.time_calibration [METHOD..]

Prints the time of a calibration divided by that of the float runs, the median of several rounds.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
from benchmarks.topologies import NETWORKS, build

from bittrue import api
from bittrue.calibrate import calibrate
from bittrue.calibrate.data import Record
from bittrue.calibrate.float_runner import FloatRunner

IMAGES, ROUNDS = 100, 3


def seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def main() -> None:
    methods = sys.argv[1:] or ["kl"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "resnet50.onnx"
        onnx.save(build(NETWORKS["resnet50"])[0], path)
        graph = api.load_float(path)
    (name,) = graph.inputs
    random = np.random.default_rng(0)
    shape = graph.types[name].shape
    records = [Record(str(i), {name: random.standard_normal(shape).astype(np.float32)}) for i in range(IMAGES)]
    tensors = [n for n in graph.activations() if graph.types[n].dtype == "float32"]

    def float_runs() -> None:
        runner = FloatRunner(graph, tensors)
        for record in records:
            runner.run(record.feeds)

    ratios: dict[str, list[float]] = {m: [] for m in methods}
    for _ in range(ROUNDS):
        base = seconds(float_runs)
        for method in methods:
            ratios[method].append(seconds(partial(calibrate, graph, records, method=method)) / base)
    for method, found in ratios.items():
        print(f"{method}: {statistics.median(found):.2f} times the float runs of {IMAGES} images")


if __name__ == "__main__":
    main()
