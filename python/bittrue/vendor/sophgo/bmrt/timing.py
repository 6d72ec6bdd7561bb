"""BMRUNTIME_ENABLE_PROFILE: `bmprofile_data-<n>` in the current folder, the simulator's own times as JSON.

The vendor's runtime writes a folder of that name with counters of the chip; a simulator has none.
"""

from __future__ import annotations

import json
import os
from itertools import count
from pathlib import Path
from typing import Any

from bittrue.containers.bmodel import write_atomic
from bittrue.devices.bm1684.session import InstructionSession
from bittrue.runtime.session import Session
from bittrue.vendor.sophgo.bmrt.numbers import atoi

SCHEMA = "bittrue-launch-times/1"


class LaunchTimes:
    """Collects launches if the variable asks for it."""

    def __init__(self) -> None:
        self.wanted = atoi(os.environ.get("BMRUNTIME_ENABLE_PROFILE", "")) != 0
        self.launches: list[dict[str, Any]] = []

    def add(self, net: str, stage: int, loop: int, seconds: float, session: Session | InstructionSession) -> None:
        """One launch; layers are those of its last run, command streams have none."""
        if self.wanted:
            layers = session.node_seconds if isinstance(session, Session) else {}
            self.launches.append({"net": net, "stage": stage, "loop": loop, "seconds": seconds, "layers": layers})

    def write(self) -> None:
        """The first free number is taken."""
        if self.wanted:
            path = next(p for n in count() if not (p := Path(f"bmprofile_data-{n}")).exists())
            write_atomic(path, (json.dumps({"schema": SCHEMA, "launches": self.launches}, indent=1) + "\n").encode())
