"""What every kind of comparison is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.containers.archive import open_archive
from bittrue.verify.dump import DumpOptions
from bittrue.verify.policy import EXACT, Policy

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class CompareOptions:
    """policy: what may differ; None: the default of the kind of pair. dump, ref_dump: how the archives of the run and
    of the reference are read. model: names layers and ops, gives the order, and lets layers be simulated alone. io:
    what the tensors of a raw file are. inputs: archive of network inputs to run both sides on.
    allow_other_inputs: compare runs of different inputs. path, threads: of simulations; no result depends on them.
    """

    policy: Policy | None = None
    dump: DumpOptions = field(default_factory=DumpOptions)
    ref_dump: DumpOptions = field(default_factory=DumpOptions)
    model: Path | None = None
    io: Path | None = None
    inputs: Path | None = None
    allow_other_inputs: bool = False
    path: str | None = None
    threads: int | None = None

    def policy_or(self, default: Policy = EXACT) -> Policy:
        return self.policy or default

    def given_inputs(self) -> Mapping[str, Array] | None:
        """The archive of `inputs`. Raises DataError."""
        return open_archive(self.inputs) if self.inputs else None
