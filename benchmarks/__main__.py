"""python -m benchmarks: measures our engine and its peers on the same networks, in turn, in one run.

Prints a table and writes bench_output/results.json.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.engines import TARGETS, engines, prepare
from benchmarks.measure import NOISY_SPREAD, measure, ratio
from benchmarks.topologies import NETWORKS, build
from bittrue import _core


def cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def measure_network(name: str, thread_counts: list[int], rounds: int, targets: tuple[str, ...]) -> list[dict[str, Any]]:
    """One row per engine and number of threads."""
    model, macs = build(name)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare(model, Path(folder))
        for threads in thread_counts:
            loaded = engines(prepared, threads, targets)
            timings = measure(loaded, rounds)
            best = min((t for e, t in zip(loaded, timings, strict=True) if not e.ours), key=lambda t: t.median)
            for engine, timing in zip(loaded, timings, strict=True):
                row: dict[str, Any] = {
                    "network": name,
                    "engine": engine.name,
                    "threads": threads,
                    "milliseconds": timing.median * 1e3,
                    "spread": timing.spread,
                    "gmac_per_second": macs / timing.median / 1e9,
                    "load_seconds": engine.load_seconds,
                }
                if engine.ours:
                    row["ratio"], row["ratio_spread"] = ratio(best, timing)
                rows.append(row)
                print(line(row), flush=True)
    return rows


def line(row: dict[str, Any]) -> str:
    text = (
        f"{row['network']:14}{row['threads']:2} threads  {row['engine']:12}{row['milliseconds']:9.2f} ms"
        f"{row['gmac_per_second']:8.1f} GMAC/s"
    )
    if "ratio" in row:
        text += f"   {row['ratio']:5.2f} x peer (+-{row['ratio_spread'] / 2:.2f})"
    return text + ("   noisy" if row["spread"] > NOISY_SPREAD else "")


def geometric_mean(values: list[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def summary(rows: list[dict[str, Any]], thread_counts: list[int]) -> dict[str, float]:
    """Each best peer's time divided by ours, over all networks and targets."""
    ratios = {t: [r["ratio"] for r in rows if "ratio" in r and r["threads"] == t] for t in thread_counts}
    result = {f"geomean_{t}t": geometric_mean(v) for t, v in ratios.items()}
    return result | {"worst": min(v for values in ratios.values() for v in values)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=9, help="bursts of every engine")
    parser.add_argument("--output", type=Path, default=Path("bench_output"))
    options = parser.parse_args()
    rows = []
    for name in options.networks:
        rows += measure_network(name, options.threads, options.rounds, tuple(options.targets))
    result = {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "path": os.environ.get("BITTRUE_PATH") or _core.best_path(),
        "summary": summary(rows, options.threads),
        "rows": rows,
    }
    print("  ".join(f"{k} {v:.2f}" for k, v in result["summary"].items()), f" path {result['path']}, {result['cpu']}")
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "results.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
