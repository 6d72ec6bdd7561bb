"""An estimate of what a command stream costs on the chip: work, bytes moved, cycles, a timeline.

Model (every number is `assumed` but for the 32 float units of a lane): an engine runs its commands one after the other;
a command starts when its engine is free and the command of the other engine that it waits for has ended. A compute
command takes the work of its busiest lane divided by what a lane does per cycle, a memory command its bytes divided by
the bandwidth; both have a constant cost to start. Banks, refresh and arbitration are left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bittrue.devices.bm1684.disasm import DIRECTIONS
from bittrue.devices.bm1684.session import Group, InstructionSession

LANES = 64
CLOCK_MHZ = 550
FLOAT_UNITS = 32  # per lane
MACS_PER_LANE = {4: FLOAT_UNITS, 1: 256}  # by bytes of an element
BYTES_PER_LANE = 4 * FLOAT_UNITS
MEMORY_BYTES = 124  # per cycle, 68.3 GB/s
START_CYCLES = {"bdc": 16, "gdma": 100}
EVIDENCE = "assumed"


@dataclass(frozen=True)
class Timed:
    """A command with its estimated place in time, in cycles."""

    label: str
    engine: str
    operation: str
    start: int
    cycles: int
    macs: int
    bytes: int


@dataclass(frozen=True)
class Profile:
    """An estimate for one run of a stage; commands in execution order."""

    commands: list[Timed]

    @property
    def cycles(self) -> int:
        return max((c.start + c.cycles for c in self.commands), default=0)

    def summary(self) -> dict[str, Any]:
        """Totals: commands, MACs, bytes per direction, busy cycles per engine, and the rows by operation."""
        busy: dict[str, int] = defaultdict(int)
        moved: dict[str, int] = defaultdict(int)
        rows: dict[str, dict[str, Any]] = {}
        for c in self.commands:
            busy[c.engine] += c.cycles
            row = rows.setdefault(
                f"{c.engine} {c.operation}",
                {"engine": c.engine, "operation": c.operation, "commands": 0, "macs": 0, "bytes": 0, "cycles": 0},
            )
            row["commands"] += 1
            for key in ("macs", "bytes", "cycles"):
                row[key] += getattr(c, key)
            if c.engine == "gdma":
                moved[c.operation.split(".")[0]] += c.bytes
        return {
            "evidence": EVIDENCE,
            "clock_mhz": CLOCK_MHZ,
            "commands": len(self.commands),
            "macs": sum(c.macs for c in self.commands),
            "cycles": self.cycles,
            "milliseconds": self.cycles / CLOCK_MHZ / 1e3,
            "busy": {e: busy[e] for e in START_CYCLES},
            "moved": {d: moved[d] for d in DIRECTIONS if d in moved},
            "operations": sorted(rows.values(), key=lambda r: -int(r["cycles"])),
        }

    def chrome_trace(self) -> dict[str, Any]:
        """The timeline in the Trace Event format that chrome://tracing and Perfetto read; microseconds."""
        names = {"bdc": (1, "BDC compute"), "gdma": (2, "GDMA memory")}
        events: list[dict[str, Any]] = [
            {"ph": "M", "pid": 1, "tid": t, "name": "thread_name", "args": {"name": text}} for t, text in names.values()
        ]
        for c in self.commands:
            events.append(
                {
                    "ph": "X",
                    "pid": 1,
                    "tid": names[c.engine][0],
                    "name": c.operation,
                    "ts": c.start / CLOCK_MHZ,
                    "dur": c.cycles / CLOCK_MHZ,
                    "args": {"command": c.label, "macs": c.macs, "bytes": c.bytes},
                }
            )
        return {"displayTimeUnit": "ns", "traceEvents": events, "otherData": {"evidence": EVIDENCE}}


def profile_session(session: InstructionSession, groups: Iterable[Group] | None = None) -> Profile:
    """Estimates the groups one after the other (default: all of the stage, each once)."""
    commands: list[Timed] = []
    now = 0
    for group in groups if groups is not None else session.groups:
        free = {"bdc": now, "gdma": now}
        ended: dict[str, dict[int, int]] = {"bdc": {0: now}, "gdma": {0: now}}
        for step in group.order:
            facts = group.steps[step]
            engine, other = facts["engine"], "gdma" if facts["engine"] == "bdc" else "bdc"
            start = max(free[engine], ended[other].get(facts["wait_for"], 0))
            cycles, moved = _cost(facts)
            command = group.command(step)
            label = f"g{command.group}.{engine}{command.number:05d}"
            operation = group.text(step).split()[5]
            commands.append(Timed(label, engine, operation, start, cycles, facts["macs"], moved))
            free[engine] = ended[engine][facts["id"]] = start + cycles
        now = max(free.values())
    return Profile(commands)


def _cost(facts: dict[str, Any]) -> tuple[int, int]:
    """(cycles, bytes moved) of a command."""
    results = [a for a in facts["accesses"] if a["write"]]
    moved = sum(_elements(a) * a["bytes"] for a in results)
    if facts["engine"] == "gdma":
        return START_CYCLES["gdma"] + -(-moved // MEMORY_BYTES), moved
    if facts["macs"]:
        share = -(-results[0]["shape"][1] // LANES) / results[0]["shape"][1]  # of the channels, in the busiest lane
        width = min(results[0]["bytes"], 4)
        work = facts["macs"] * share / MACS_PER_LANE.get(width, FLOAT_UNITS)
    else:
        widest = max(facts["accesses"], key=lambda a: _elements(a) * a["bytes"])
        rows = -(-widest["shape"][1] // LANES) / widest["shape"][1]
        work = _elements(widest) * widest["bytes"] * rows / BYTES_PER_LANE
    return START_CYCLES["bdc"] + int(-(-work // 1)), 0


def _elements(access: dict[str, Any]) -> int:
    n, c, h, w = access["shape"]
    return int(n * c * h * w)
