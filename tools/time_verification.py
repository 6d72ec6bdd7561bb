"""Times what docs/verification.md and docs/explain.md state: comparing, verifying and explaining.

    python -m tools.time_verification

Networks have random weights (benchmarks/topologies.py); times are medians, in milliseconds.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from benchmarks.topologies import NETWORKS, build
from tests.verify.planted import FAULTS, plant
from tests.verify.test_planted import clean_run, examine

from bittrue import api
from bittrue.calibrate.data import Record
from bittrue.report.result import BORN
from bittrue.verify.metrics import compare_tensors

ELEMENTS = 16 << 20
ROUNDS = 5


def median(run: Callable[[], Any], rounds: int = ROUNDS) -> float:
    """Milliseconds."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return 1e3 * statistics.median(times)


def comparing() -> None:
    """Two tensors of 16 million elements, on one thread."""
    rng = np.random.default_rng(0)
    integers = rng.integers(-128, 128, ELEMENTS).astype(np.int8).reshape(1, 64, -1)
    floats = rng.normal(0, 1, ELEMENTS).astype(np.float32).reshape(1, 64, -1)
    some = rng.random(ELEMENTS).reshape(1, 64, -1) < 0.05
    for name, ref, got in (
        ("int8, equal", integers, integers.copy()),
        ("int8, 5 % differ", integers, np.where(some, integers ^ np.int8(1), integers)),
        ("float32, equal", floats, floats.copy()),
        ("float32, 5 % differ", floats, np.where(some, floats + np.float32(1e-3), floats)),
    ):
        print(f"compare {name}: {median(lambda ref=ref, got=got: compare_tensors(ref, got)):.0f} ms")  # type: ignore[misc]


def compiled(name: str, folder: Path) -> tuple[Any, dict[str, Any]]:
    """A network compiled for BM1684 with its inputs."""
    model, _ = build(NETWORKS[name])
    onnx.save(model, folder / "net.onnx")
    graph = api.load_float(folder / "net.onnx")
    rng = np.random.default_rng(0)
    feeds = {n: rng.normal(0, 1, graph.types[n].shape).astype(np.float32) for n in graph.inputs}
    table = api.calibrate(graph, [Record("random", feeds)], method="max")
    quantized = api.compile(graph, "bm1684", folder / name, table=table, reference=feeds)
    return quantized, api.reference_feeds(quantized, feeds)


def verifying(folder: Path) -> None:
    """MobileNetV2, all layers compared, against loading and simulating it."""
    _, inputs = compiled("mobilenet_v2", folder)
    directory = folder / "mobilenet_v2"
    plain = median(lambda: api.open_session(directory).run(inputs))
    print(f"MobileNetV2: load and run {plain:.0f} ms, verify {median(lambda: api.verify(directory)):.0f} ms")


def explaining(folder: Path) -> None:
    """Single faults in layers of ResNet-50: comparing, replaying and explaining."""
    model, inputs = compiled("resnet50", folder)
    values = clean_run(model, inputs)
    convolutions = [n for n in model.graph.nodes if n.op == "Conv2d"]
    for node in (convolutions[10], convolutions[-1]):
        for fault in FAULTS:
            if fault.name not in ("ties away from zero", "one weight bit"):
                continue
            dump = plant(model.graph, node, fault, values, 0)
            if dump is None:
                continue
            found: list[Any] = []
            spent = median(lambda dump=dump, found=found: found.extend(examine(model, inputs, dump)), 1)  # type: ignore[misc]
            (cause,) = (t.causes[0] for t in found if t.origin in BORN and t.role == "inner")
            shape = "x".join(map(str, values[node.outputs[0]].shape))
            print(f"ResNet-50, {fault.name} in a {shape} layer: {spent:.0f} ms, {cause.status} {cause.cls}")


def main() -> None:
    comparing()
    with tempfile.TemporaryDirectory() as name:
        verifying(Path(name))
        explaining(Path(name))


if __name__ == "__main__":
    sys.exit(main())
