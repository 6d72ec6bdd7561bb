"""Times compiled BM1684 networks on the instruction simulator and prints the table of docs/command-streams.md.

python tools/time_streams.py CONTEXT_DIR..
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np

from bittrue.containers.context_dir import ContextDir
from bittrue.devices.bm1684.profile import profile_session
from bittrue.devices.bm1684.session import InstructionSession

RUNS = 15
# Seconds that the vendor's simulator needs for one run, start-up included, at best on this class of machine.
VENDOR = {"reconnet": 2.2, "rec_cnn": 3.6, "face_fp32_b1": 4.7, "retina_int8_b4": 21.9}


def row(folder: Path) -> str:
    """One stage of a context directory as a table row."""
    context = ContextDir.open(folder)
    ref = next(context.model.stages())
    loads, runs = [], []
    for _ in range(3):
        start = time.perf_counter()
        session = InstructionSession(context.model, ref)
        loads.append(time.perf_counter() - start)
    for _ in range(RUNS):
        start = time.perf_counter()
        outputs = session.run(context.inputs[0]).outputs
        runs.append(time.perf_counter() - start)
    summary = profile_session(session).summary()
    equal = total = 0
    for name, expected in context.outputs[0].items():
        a, b = (np.ascontiguousarray(v).view(np.uint8) for v in (expected, outputs[name]))
        equal, total = equal + int(np.count_nonzero(a == b)), total + a.size
    load, run = statistics.median(loads), statistics.median(runs)
    vendor = VENDOR.get(folder.name)
    commands = " + ".join(str(sum(len(g.commands.stream(e)) for g in session.groups)) for e in ("bdc", "gdma"))
    return (
        f"| {folder.name} | {commands} | {summary['macs'] / 1e6:.1f} | {load * 1e3:.0f} ms | {run * 1e3:.1f} ms "
        f"| {min(runs) * 1e3:.1f} ms | {f'{vendor} s' if vendor else ''} "
        f"| {f'{vendor / (load + run):.0f}, {vendor / run:.0f}' if vendor else ''} | {equal:,} of {total:,} |"
    )


def main(folders: list[Path]) -> None:
    print(f"{os.cpu_count()} cores, medians of {RUNS} runs")
    print("| network | commands | MMAC | load | run | best run | vendor's simulator | times faster (load + run, run) "
          "| equal output bytes |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|")
    for folder in folders:
        print(row(folder), flush=True)


if __name__ == "__main__":
    main([Path(a) for a in sys.argv[1:]])
