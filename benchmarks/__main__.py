"""Measures our engine and its peers on the same networks, in turn, in one run.

Prints times, and writes results.json, table.md and layers.txt into the output folder. docs/speed.md says how to read
them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.engines import PEERS, TARGETS, load, prepare
from benchmarks.footprint import footprint
from benchmarks.layers import Layer, profile, table
from benchmarks.measure import measure, ratio
from benchmarks.peak import measured_peak
from benchmarks.report import Row, line, markdown, noise, slowest_layers, summary
from benchmarks.topologies import NETWORKS, build
from bittrue.api import write_text
from bittrue.errors import BittrueError
from bittrue.runtime.session import defaults

QUICK_NETWORKS, QUICK_ROUNDS = ["resnet18", "mobilenet_v2"], 3


def cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def measure_network(
    name: str, peaks: dict[int, float], rounds: int, targets: tuple[str, ...]
) -> tuple[list[Row], dict[str, list[Layer]]]:
    """Rows of every engine and number of threads, and the layers of our engines by "<target> <threads>t". peaks: GMAC/s
    of the machine by the number of threads."""
    model, macs = build(NETWORKS[name])
    rows: list[Row] = []
    layers: dict[str, list[Layer]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(model, folder, targets)
        for threads, peak in peaks.items():
            engines = [load(engine, folder, threads) for engine in (*targets, *PEERS)]
            timings = measure(engines, rounds)
            pairs = list(zip(engines, timings, strict=True))
            best_peer = min((t for e, t in pairs if not e.session), key=lambda t: t.median)
            for engine, timing in pairs:
                used = footprint(folder, engine.name, threads)
                speed = macs / timing.median / 1e9
                row = Row(
                    name,
                    engine.name,
                    threads,
                    timing.median * 1e3,
                    timing.spread,
                    timing.noisy,
                    speed,
                    speed / peak,
                    used.load_seconds,
                    used.peak_bytes,
                    *(ratio(best_peer, timing) if engine.session else ()),
                )
                rows.append(row)
                print(line(row), flush=True)
            for engine in engines:
                if engine.session:
                    layers[f"{engine.name} {threads}t"] = profile(engine, rounds)
    return rows, layers


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python -m benchmarks --quick --only mobilenet_v2",
    )
    parser.add_argument("--only", nargs="+", choices=NETWORKS, metavar="NAME", help=f"of {', '.join(NETWORKS)}")
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds, of {' and '.join(QUICK_NETWORKS)}: no figures"
    )
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, help="bursts of every engine (15)")
    parser.add_argument("--output", type=Path, default=Path("bench_output"))
    options = parser.parse_args(arguments)
    options.only = options.only or (QUICK_NETWORKS if options.quick else list(NETWORKS))
    options.rounds = options.rounds or (QUICK_ROUNDS if options.quick else 15)
    if options.rounds < 2:
        parser.error("--rounds: a spread needs at least 2")
    if min(options.threads) < 1:
        parser.error("--threads: at least 1")
    return options


def run(options: argparse.Namespace) -> None:
    load_average, cores = os.getloadavg()[0], os.cpu_count() or 1
    by_sequence = {threads: measured_peak(threads) for threads in dict.fromkeys(options.threads)}
    peaks = {threads: max(found.values()) for threads, found in by_sequence.items()}
    for threads, found in by_sequence.items():
        print(f"peak, {threads} threads: " + ", ".join(f"{k} {v:.0f} GMAC/s" for k, v in found.items()), flush=True)
    rows: list[Row] = []
    layers: dict[str, dict[str, list[Layer]]] = {}
    for name in options.only:
        measured, layers[name] = measure_network(name, peaks, options.rounds, tuple(options.targets))
        rows += measured
        for engine, found_layers in layers[name].items():
            print("\n".join([f"  slowest layers, {engine}", *(f"    {s}" for s in slowest_layers(found_layers))]))
    warning, totals = noise(rows, load_average, cores), summary(rows)
    result = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": cpu_name(),
        "cores": cores,
        "path": defaults()[0],
        "rounds": options.rounds,
        "noise": warning,
        "peak_gmac_per_second": by_sequence,
        "summary": totals,
        "rows": [asdict(r) for r in rows],
        "layers": {n: {e: [asdict(v) for v in found] for e, found in es.items()} for n, es in layers.items()},
    }
    write_text(options.output / "results.json", json.dumps(result, indent=1) + "\n")
    write_text(options.output / "table.md", markdown(rows))
    texts = ["\n".join([f"{n} {e}", *table(found)]) for n, es in layers.items() for e, found in es.items()]
    write_text(options.output / "layers.txt", "\n\n".join(texts) + "\n")
    print("  ".join(f"{k} {v:.2f}" for k, v in totals.items()), f" path {result['path']}, {result['cpu']}")
    if warning:
        print(warning)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    options = parse(arguments)
    try:
        run(options)
    except BittrueError as e:
        print(f"error: {e}", file=sys.stderr)
        return e.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
