"""Which layers cost accuracy: each layer quantized alone, and the whole network quantized but for that layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from bittrue.audit.errors import Score, Scorer
from bittrue.audit.isolated import IsolatedLayer
from bittrue.audit.layers import Layer, quantizable_layers
from bittrue.calibrate.data import Record
from bittrue.calibrate.float_runner import FloatRunner
from bittrue.errors import DataError, UnsupportedError
from bittrue.graph.ir import Graph
from bittrue.quantize.context import QuantizeOptions
from bittrue.quantize.model import QuantizedModel
from bittrue.quantize.quantizer import quantize
from bittrue.quantize.ranges import Threshold
from bittrue.runtime.session import Session
from bittrue.targets.loader import Target, load_target

Array = np.ndarray[Any, Any]
Step = Callable[[str], None]
LARGEST_CACHE = 512 << 20  # bytes of float activations held at a time


def quiet(what: str) -> None:
    """Reports no progress."""


class MixedNetwork:
    """A float network, its calibration and its data; scores any choice of float layers by simulation.

    adjust: changes the arithmetic of every quantized model, as a user's profile says.
    Raises DataError without samples.
    """

    def __init__(
        self,
        graph: Graph,
        thresholds: Mapping[str, Threshold],
        target: str,
        records: Sequence[Record],
        *,
        adjust: Callable[[QuantizedModel], None] | None = None,
        threads: int | None = None,
    ) -> None:
        if not records:
            raise DataError("no samples to measure on")
        self.graph, self.thresholds, self.records, self.threads = graph, thresholds, records, threads
        self._adjust = adjust
        self.target: Target = load_target(target)
        floats = [o for o in graph.outputs if graph.types[o].dtype == "float32"]
        if not floats:
            raise UnsupportedError("no network output is float32: nothing to measure the signal of")
        self.outputs = floats
        runner = FloatRunner(graph, floats)
        self._truth = [runner.run(r.feeds) for r in records]
        self.whole = self.quantized(())
        self.layers = quantizable_layers(graph, self.whole)
        if not self.layers:
            raise UnsupportedError(f"no layer runs in integers on {self.target.name}")

    @property
    def labelled(self) -> int:
        return sum(len(r.labels) for r in self.records if r.labels is not None)

    @property
    def samples(self) -> int:
        return sum(r.samples for r in self.records)

    def quantized(self, float_layers: Sequence[str]) -> QuantizedModel:
        options = QuantizeOptions(float_layers=frozenset(float_layers))
        model = quantize(self.graph, self.thresholds, self.target, options=options)
        if self._adjust:
            self._adjust(model)
        return model

    def simulate(self, model: QuantizedModel) -> Score:
        """A whole network on all samples."""
        session = Session(model.graph, threads=self.threads)
        scorer = Scorer(self.outputs)
        names = dict(zip(model.graph.outputs, self.graph.outputs, strict=True))
        for record, truth in zip(self.records, self._truth, strict=True):
            got = session.run(record.feeds).outputs
            scorer.add(truth, {names[n]: v for n, v in got.items()}, record.labels)
        return scorer.score()

    def float_score(self) -> Score:
        scorer = Scorer(self.outputs)
        for record, truth in zip(self.records, self._truth, strict=True):
            scorer.add(truth, truth, record.labels)
        return scorer.score()

    def isolated(self, layer: Layer) -> IsolatedLayer:
        others = [n.name for n in self.graph.nodes if n.name != layer.name]
        return IsolatedLayer(self.graph, self.quantized(others), layer.name, threads=self.threads)


@dataclass(frozen=True)
class LayerSensitivity:
    """only: this layer quantized, all others exact. all_but: the network quantized, this layer in the float rules of
    the target. gain_db: how much SQNR of the outputs rises when this layer stays in float."""

    layer: Layer
    only: Score
    all_but: Score
    gain_db: float | None


@dataclass
class Sensitivity:
    """Layers by falling cost: the one whose quantization alone leaves the least SQNR comes first."""

    target: str
    samples: int
    labelled: int
    float_top1: float | None
    quantized: Score
    layers: list[LayerSensitivity] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        rows = [
            {**asdict(s.layer), "only": asdict(s.only), "all_but": asdict(s.all_but), "gain_db": s.gain_db}
            for s in self.layers
        ]
        return {
            "target": self.target,
            "samples": self.samples,
            "labelled": self.labelled,
            "float_top1": self.float_top1,
            "quantized": asdict(self.quantized),
            "layers": rows,
        }


def run_sensitivity(network: MixedNetwork, progress: Step = quiet) -> Sensitivity:
    """Two figures for every layer. progress: called with a layer's name after each of them."""
    quantized = network.simulate(network.whole)
    only = _only(network, progress)
    rows = []
    for layer in network.layers:
        all_but = network.simulate(network.quantized((layer.name,)))
        rows.append(LayerSensitivity(layer, only[layer.name], all_but, _gain(quantized, all_but)))
        progress(layer.name)
    rows.sort(key=lambda s: s.only.key("sqnr"))
    return Sensitivity(
        network.target.name,
        network.samples,
        network.labelled,
        network.float_score().top1,
        quantized,
        rows,
    )


def _gain(quantized: Score, all_but: Score) -> float | None:
    if quantized.sqnr_db is None or all_but.sqnr_db is None:
        return None
    return 0.0 if quantized.sqnr_db == all_but.sqnr_db else all_but.sqnr_db - quantized.sqnr_db


def _only(network: MixedNetwork, progress: Step) -> dict[str, Score]:
    scorers = {layer.name: Scorer(network.outputs) for layer in network.layers}
    graph = network.graph
    runner = FloatRunner(graph, list(dict.fromkeys([*graph.activations(), *graph.outputs])))
    for part, last in _chunks(graph, network.records):
        floats = [runner.run(r.feeds) for r in part]
        for layer in network.layers:
            isolated = network.isolated(layer)
            for record, values in zip(part, floats, strict=True):
                scorers[layer.name].add(values, isolated.run(values), record.labels)
            if last:
                progress(layer.name)
    return {name: scorer.score() for name, scorer in scorers.items()}


def _chunks(graph: Graph, records: Sequence[Record]) -> Iterator[tuple[Sequence[Record], bool]]:
    """Records whose float activations fit the cache, and whether they are the last."""
    each = sum(graph.types[n].bytes for n in graph.activations())
    size = max(1, LARGEST_CACHE // max(1, each))
    for start in range(0, len(records), size):
        yield records[start : start + size], start + size >= len(records)
