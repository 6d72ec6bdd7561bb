"""Mixed precision under a budget: layers go to float in order of their sensitivity, every step is simulated."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bittrue.audit.errors import Score
from bittrue.audit.layers import Layer
from bittrue.audit.sensitivity import MixedNetwork, Sensitivity, Step, quiet, run_sensitivity
from bittrue.errors import UnsupportedError, UsageError
from bittrue.targets.schema import Profile

KINDS = ("layers", "macs", "bytes")
METRICS = ("sqnr", "top1")


@dataclass(frozen=True)
class Budget:
    """limit: a number of layers, or a share (0..1) of the multiplications or weight bytes of the network."""

    kind: str
    limit: float

    @staticmethod
    def parse(text: str) -> Budget:
        """`layers=5`, `macs=10%` or `bytes=10%`. Raises UsageError."""
        kind, _, value = text.partition("=")
        percent = kind in ("macs", "bytes")
        pattern = r"(\d+(?:\.\d+)?)%" if percent else r"(\d+)"
        match = re.fullmatch(pattern, value)
        if kind not in KINDS or not match:
            raise UsageError(f"--budget {text}: expected layers=5, macs=10% or bytes=10%")
        limit = float(match[1]) / (100 if percent else 1)
        if not limit or (percent and limit > 1):
            raise UsageError(f"--budget {text}: the limit lies outside {'0..100 %' if percent else '1..'}")
        return Budget(kind, limit)


def check_upgrade(profile: Profile, upgrade: str) -> None:
    """Raises UnsupportedError for a precision that single layers cannot have on this target."""
    if upgrade == "float":
        return
    if upgrade not in profile.precisions:
        has = ", ".join(profile.precisions)
        raise UnsupportedError(f"target {profile.name} has no precision '{upgrade}' (it has {has}); use float")
    raise UnsupportedError(f"target {profile.name}: single layers in {upgrade} are not implemented; use float")


@dataclass(frozen=True)
class Choice:
    """A simulated network. added: the layer that this step tried; layers: all float layers of it. cost: number of
    layers, share of the multiplications, share of the weight bytes. kept: it was better than the step before."""

    added: str
    layers: tuple[str, ...]
    cost: dict[str, float]
    score: Score
    kept: bool


@dataclass
class Tuning:
    """ranking: the order in which layers were tried. steps: everything that was simulated, the fully quantized network
    first. pareto: positions of the steps that no other step beats in both cost and metric, by rising cost."""

    ranking: Sensitivity
    budget: Budget
    metric: str
    upgrade: str
    steps: list[Choice] = field(default_factory=list)
    pareto: list[int] = field(default_factory=list)

    @property
    def chosen(self) -> Choice:
        """The best network within the budget."""
        return [s for s in self.steps if s.kept][-1]

    def as_dict(self) -> dict[str, Any]:
        """Without the ranking, which has its own `as_dict`."""
        return {
            "target": self.ranking.target,
            "samples": self.ranking.samples,
            "labelled": self.ranking.labelled,
            "budget": asdict(self.budget),
            "metric": self.metric,
            "upgrade": self.upgrade,
            "steps": [asdict(s) for s in self.steps],
            "pareto": self.pareto,
            "chosen": list(self.chosen.layers),
        }


def run_tune(
    network: MixedNetwork,
    budget: Budget,
    *,
    ranking: Sensitivity | None = None,
    metric: str = "sqnr",
    upgrade: str = "float",
    progress: Step = quiet,
) -> Tuning:
    """Tries the most sensitive layers first, and those that did not help again after others did; a layer stays in float
    if the simulated network got better by it.

    ranking: of an earlier run on the same network; measured here without. metric: "sqnr" of the worst output, or "top1"
    (needs labels; SQNR decides between equals). Raises UnsupportedError for an upgrade that the target does not offer,
    UsageError for a metric that the data cannot give.
    """
    check_upgrade(network.target.profile, upgrade)
    if metric not in METRICS:
        raise UsageError(f"no metric '{metric}'; known: {', '.join(METRICS)}")
    if metric == "top1" and not network.labelled:
        raise UsageError("--metric top1 needs labelled data")
    ranking = ranking or run_sensitivity(network, progress)
    order = sorted(ranking.layers, key=lambda s: s.only.key(metric))
    tuning = Tuning(ranking, budget, metric, upgrade)
    tuning.steps.append(Choice("", (), _cost(network, ()), ranking.quantized, True))
    waiting, improved = order, True
    while improved:  # a layer that did not help alone may help after others
        improved, refused = False, []
        for row in waiting:
            names = (*tuning.chosen.layers, row.layer.name)
            cost = _cost(network, names)
            if cost[budget.kind] > budget.limit:
                continue
            score = network.simulate(network.quantized(names))
            kept = score.key(metric) > tuning.chosen.score.key(metric)
            tuning.steps.append(Choice(row.layer.name, names, cost, score, kept))
            progress(row.layer.name)
            if kept:
                improved = True
            else:
                refused.append(row)
        waiting = refused
    tuning.pareto = pareto([(s.cost[budget.kind], s.score.key(metric)) for s in tuning.steps])
    return tuning


def _cost(network: MixedNetwork, names: Sequence[str]) -> dict[str, float]:
    chosen = [layer for layer in network.layers if layer.name in names]

    def share(value: str) -> float:
        total = _total(network.layers, value)
        return _total(chosen, value) / total if total else 0.0

    return {"layers": float(len(chosen)), "macs": share("macs"), "bytes": share("bytes")}


def _total(layers: Sequence[Layer], value: str) -> int:
    return sum(getattr(layer, value) for layer in layers)


def pareto(points: Sequence[tuple[float, tuple[float, float]]]) -> list[int]:
    """Positions of the (cost, value) pairs that no other pair beats, by rising cost; the first of equal pairs."""
    order = sorted(range(len(points)), key=lambda i: (points[i][0], tuple(-v for v in points[i][1]), i))
    best: list[int] = []
    for i in order:
        if not best or points[i][1] > points[best[-1]][1]:
            best.append(i)
    return best
