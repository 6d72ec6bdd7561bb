"""Search for settings that quantize a network well enough: threshold methods, then changes of the graph, then layers in
float, each step on top of the best so far and simulated whole.

The order is that of the vendor's automatic calibrator where it is known, else assumed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from bittrue.audit.errors import Score
from bittrue.audit.sensitivity import MixedNetwork, run_sensitivity
from bittrue.calibrate import collect, thresholds
from bittrue.calibrate.data import Record
from bittrue.calibrate.methods import Parameters, find_method
from bittrue.calibrate.table import CalibrationTable
from bittrue.graph.ir import Graph, Node
from bittrue.graph.rewrites import Rewrites
from bittrue.quantize.model import QuantizedModel

METHODS = ("kl", "mse", "percentile9999", "max", "admm", "aciq")
REWRITES = (Rewrites(equalize="powers_of_two"), Rewrites(group_channels=True))
MOST_FLOAT_LAYERS = 5


@dataclass(frozen=True)
class Settings:
    """How a network is quantized. depthwise_float: depthwise convolutions run in float, beside `float_layers`."""

    method: str
    rewrites: Rewrites = field(default_factory=Rewrites)
    depthwise_float: bool = False
    float_layers: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The settings as options of `bittrue compile`."""
        parts = [f"--method {self.method}"]
        if self.rewrites.equalize:
            parts.append(f"--equalize {self.rewrites.equalize}")
        if self.rewrites.group_channels:
            parts.append("--group-channels")
        if self.depthwise_float:
            parts.append("(depthwise in float)")
        if self.float_layers:
            parts.append(f"--float-layers {','.join(self.float_layers)}")
        return " ".join(parts)


@dataclass(frozen=True)
class Trial:
    """A simulated network. float_layers: all that stayed in float. loss: of top-1 where the data has labels, else
    1 - cosine of the worst output. seconds: of calibration and simulation together; best: better than every trial
    before."""

    settings: Settings
    float_layers: tuple[str, ...]
    score: Score
    loss: float
    seconds: float
    best: bool


@dataclass
class Search:
    """trials in order; goal: the loss at which the search ends. table, model: of the best trial."""

    target: str
    samples: int
    labelled: int
    float_top1: float | None
    goal: float
    trials: list[Trial] = field(default_factory=list)
    table: CalibrationTable | None = None
    model: QuantizedModel | None = None

    @property
    def loss(self) -> str:
        """What the loss of a trial is."""
        return "1 - cosine" if self.float_top1 is None else "top-1 drop"

    @property
    def chosen(self) -> Trial:
        """The best trial."""
        return [t for t in self.trials if t.best][-1]

    @property
    def reached(self) -> bool:
        return bool(self.trials) and self.chosen.loss <= self.goal

    def as_dict(self) -> dict[str, Any]:
        rows = [{**asdict(t), "words": t.settings.words} for t in self.trials]
        facts = {k: v for k, v in vars(self).items() if k not in ("trials", "table", "model")}
        return {
            **facts,
            "loss": self.loss,
            "trials": rows,
            "chosen": self.chosen.settings.words,
            "reached": self.reached,
        }


@dataclass
class Subject:
    """What settings are searched for. load: gives the float graph anew. adjust: changes the arithmetic of every
    quantized model."""

    load: Callable[[], Graph]
    calibration: Sequence[Record]
    test: Sequence[Record]
    target: str
    adjust: Callable[[QuantizedModel], None] | None = None
    threads: int | None = None


def is_depthwise(node: Node, graph: Graph) -> bool:
    """A convolution of every channel by itself."""
    return node.op == "Conv" and node.attrs.get("group", 1) == graph.types[node.inputs[0]].shape[1] > 1


def run_search(
    subject: Subject,
    *,
    goal: float = 0.01,
    first: Sequence[Settings] = (),
    exhaustive: bool = False,
    progress: Callable[[Trial], None] | None = None,
) -> Search:
    """Tries settings until the loss is within the goal, or all of them.

    first: settings to try before the rest. progress: called after every trial. Raises what calibration and quantization
    raise.
    """
    bench = _Bench(subject)
    started = time.monotonic()
    network = bench.network(first[0] if first else Settings(METHODS[0]))
    search = Search(network.target.name, network.samples, network.labelled, network.float_score().top1, goal)
    tried: set[Settings] = set()
    for stage in (_given(first), _methods, _depthwise, _rewrites, _float_layers):
        for settings in stage(search, bench):
            if settings in tried:
                continue
            tried.add(settings)
            trial, model = bench.trial(settings, search, started)
            started = time.monotonic()
            search.trials.append(trial)
            if trial.best:
                search.table, search.model = bench.table(settings), model
            if progress:
                progress(trial)
            if search.reached and not exhaustive:
                return search
    return search


class _Bench:
    """Runs trials; a threshold table is made once for every form of the graph and method."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self._tables: dict[tuple[Rewrites, str], CalibrationTable] = {}
        self._graphs: dict[Rewrites, Graph] = {}

    def graph(self, rewrites: Rewrites) -> Graph:
        if rewrites not in self._graphs:
            graph = self.subject.load()
            rewrites.apply(graph)
            self._graphs[rewrites] = graph
        return self._graphs[rewrites]

    def table(self, settings: Settings) -> CalibrationTable:
        key = (settings.rewrites, settings.method)
        if key not in self._tables:
            # One run of the data for every method, so that the time of a trial is that of its method.
            graph = self.graph(settings.rewrites)
            statistics = collect(graph, self.subject.calibration, [find_method(settings.method)], Parameters())
            self._tables[key] = thresholds(statistics, settings.method)
        return self._tables[key]

    def network(self, settings: Settings) -> MixedNetwork:
        """The network of all settings but those that keep layers in float."""
        return MixedNetwork(
            self.graph(settings.rewrites),
            self.table(settings).tensors,
            self.subject.target,
            self.subject.test,
            adjust=self.subject.adjust,
            threads=self.subject.threads,
        )

    def trial(self, settings: Settings, search: Search, started: float) -> tuple[Trial, QuantizedModel]:
        network = self.network(settings)
        graph = network.graph
        depthwise = [n.name for n in graph.nodes if settings.depthwise_float and is_depthwise(n, graph)]
        kept = tuple(dict.fromkeys((*settings.float_layers, *depthwise)))
        model = network.quantized(kept)
        score = network.simulate(model)
        loss = 1 - score.cosine
        if search.float_top1 is not None and score.top1 is not None:
            loss = search.float_top1 - score.top1
        metric = "sqnr" if search.float_top1 is None else "top1"
        best = not search.trials or score.key(metric) > search.chosen.score.key(metric)
        return Trial(settings, kept, score, loss, time.monotonic() - started, best), model


Stage = Callable[[Search, _Bench], Iterator[Settings]]


def _given(first: Sequence[Settings]) -> Stage:
    return lambda search, bench: iter(first)


def _methods(search: Search, bench: _Bench) -> Iterator[Settings]:
    yield from map(Settings, METHODS)


def _depthwise(search: Search, bench: _Bench) -> Iterator[Settings]:
    graph = bench.graph(search.chosen.settings.rewrites)
    if any(is_depthwise(n, graph) for n in graph.nodes):
        yield replace(search.chosen.settings, depthwise_float=True)


def _rewrites(search: Search, bench: _Bench) -> Iterator[Settings]:
    for rewrites in REWRITES:
        yield replace(search.chosen.settings, rewrites=rewrites)


def _float_layers(search: Search, bench: _Bench) -> Iterator[Settings]:
    """One more layer at a time, the most sensitive first; a layer that does not help stays quantized."""
    ranking = run_sensitivity(bench.network(search.chosen.settings))
    for row in ranking.layers[:MOST_FLOAT_LAYERS]:
        base = search.chosen.settings
        yield replace(base, float_layers=(*base.float_layers, row.layer.name))
