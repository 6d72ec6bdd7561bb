"""Times the simulation of a network with random data: best and median of five runs, one and all threads.

python tools/time_network.py MODEL.onnx
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np

from bittrue import api
from bittrue.calibrate.data import Record

RUNS = 5


def main(path: Path) -> None:
    graph = api.load_float(path)
    rng = np.random.default_rng(0)
    feeds = {n: rng.normal(0, 1, graph.types[n].shape).astype(np.float32) for n in graph.inputs}
    table = api.calibrate(graph, [Record("random", feeds)], method="max")
    for target in ("bm1684", "bm1684x"):
        model = api.quantize(graph, table.tensors, target)
        for threads in sorted({1, os.cpu_count() or 1}):
            session = api.Session(model.graph, threads=threads)
            session.run(feeds)
            seconds = []
            for _ in range(RUNS):
                start = time.perf_counter()
                session.run(feeds)
                seconds.append(time.perf_counter() - start)
            print(
                f"{target}, path {session.path}, {threads} threads: best {min(seconds) * 1e3:.0f} ms, "
                f"median {statistics.median(seconds) * 1e3:.0f} ms"
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
