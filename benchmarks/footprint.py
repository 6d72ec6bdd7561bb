"""Load time and peak memory of one engine in a process of its own: `python -m benchmarks.footprint FOLDER NAME THREADS`
prints them as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.engines import load

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Footprint:
    """load_seconds: from the file to an engine that can run. peak_bytes: the most memory that loading and running took
    beyond the imported libraries; None where the system does not tell (only Linux does)."""

    load_seconds: float
    peak_bytes: int | None


def footprint(folder: Path, name: str, threads: int) -> Footprint:
    """Measures in a new process. Raises CalledProcessError if that fails."""
    command = [sys.executable, "-m", "benchmarks.footprint", str(folder.resolve()), name, str(threads)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return Footprint(**json.loads(done.stdout.splitlines()[-1]))


def _resident_bytes(field: str) -> int | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), None)


def _forget_peak() -> None:
    """The highest size so far becomes the present one. See proc(5), clear_refs."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _measure(folder: Path, name: str, threads: int) -> Footprint:
    _forget_peak()
    before = _resident_bytes("VmRSS")
    start = time.perf_counter()
    engine = load(name, folder, threads)
    seconds = time.perf_counter() - start
    for _ in range(2):
        engine.run()
    peak = _resident_bytes("VmHWM")
    return Footprint(seconds, None if before is None or peak is None else peak - before)


if __name__ == "__main__":
    print(json.dumps(asdict(_measure(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))))
