"""Networks that audits run side by side: float samples in, float results out, whatever computes in between."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from bittrue.calibrate.float_runner import KEPT, FloatRunner, ShapedRunner
from bittrue.calibrate.table import CalibrationTable
from bittrue.errors import DataError
from bittrue.graph.ir import Graph
from bittrue.graph.shaped import ShapedGraphs, shapes_of
from bittrue.model_files import reference_feeds
from bittrue.quantize.context import QuantizeOptions
from bittrue.quantize.model import QuantizedModel
from bittrue.quantize.quantizer import quantize
from bittrue.runtime.session import Session

Array = np.ndarray[Any, Any]
Run = Callable[[Mapping[str, Array]], dict[str, Array]]


@dataclass(frozen=True)
class Network:
    """run: float32 inputs by name to float32 outputs by name. outputs: their names, the first one first."""

    name: str
    run: Run
    outputs: tuple[str, ...]

    def output(self, name: str | None = None) -> str:
        """The output of a name, or the first one. Raises DataError if there is none of that name."""
        if name is None:
            return self.outputs[0]
        if name not in self.outputs:
            raise DataError(f"{self.name}: no output '{name}'; it has {', '.join(self.outputs)}")
        return name


def dequantized(model: QuantizedModel, values: Mapping[str, Array]) -> dict[str, Array]:
    """Tensors of a quantized model as the float32 values that their codes stand for."""
    result = {}
    for name, value in values.items():
        q = model.tensors.get(name)
        result[name] = (value.astype(np.float32) - q.zero_point) * np.float32(q.scale) if q else value
    return result


def simulation(
    model: QuantizedModel, tensors: Iterable[str] = (), *, path: str | None = None, threads: int | None = None
) -> Run:
    """Runs a quantized model on the C++ core: float samples by input in, values of the outputs and of `tensors` out."""
    session = Session(model.graph, path=path, threads=threads)
    ends = {*model.graph.inputs, *model.graph.outputs}
    traced = [n for n in dict.fromkeys(tensors) if n not in ends]

    def run(feeds: Mapping[str, Array]) -> dict[str, Array]:
        result = session.run(reference_feeds(model, feeds), trace=traced)
        return dequantized(model, {**result.trace, **result.outputs})

    return run


def float_network(graph: Graph, name: str = "float") -> Network:
    """The float graph on onnxruntime. Raises UnsupportedError for graphs that it cannot run."""
    return Network(name, FloatRunner(graph).run, tuple(graph.outputs))


def quantized_network(
    model: QuantizedModel,
    outputs: Sequence[str] = (),
    *,
    name: str = "",
    path: str | None = None,
    threads: int | None = None,
) -> Network:
    """A quantized model on the C++ core.

    outputs: names for its results in their order, those of the float graph it was made from; default: its own. Raises
    DataError if there are more or fewer of them.
    """
    name = name or f"{model.target} {model.precision}"
    names = tuple(outputs) or tuple(model.graph.outputs)
    if len(names) != len(model.graph.outputs):
        raise DataError(f"{name}: {len(model.graph.outputs)} outputs, the float network has {len(names)}")
    simulated = simulation(model, path=path, threads=threads)

    def run(feeds: Mapping[str, Array]) -> dict[str, Array]:
        missing = [n for n in model.graph.inputs if n not in feeds]
        if missing:
            raise DataError(f"{name}: input '{missing[0]}' is none of the float network's, {', '.join(feeds)}")
        values = simulated(feeds)
        return {wanted: values[own] for wanted, own in zip(names, model.graph.outputs, strict=True)}

    return Network(name, run, names)


def shaped_float_network(graphs: ShapedGraphs, name: str = "float") -> Network:
    """A float network that takes inputs of any shape that its layers take."""
    return Network(name, ShapedRunner(graphs).run, tuple(graphs.graph.outputs))


def shaped_quantized_network(
    graphs: ShapedGraphs,
    table: CalibrationTable,
    target: str,
    *,
    options: QuantizeOptions | None = None,
    path: str | None = None,
    threads: int | None = None,
) -> Network:
    """An INT8 network that takes inputs of any shape: it is lowered again, with the same thresholds, for every shape.

    Raises what `quantize` raises; running raises DataError for shapes that the network does not take.
    """

    @lru_cache(KEPT)
    def at(shapes: tuple[tuple[str, tuple[int, ...]], ...]) -> Network:
        model = quantize(graphs.at(dict(shapes)), table.tensors, target, options=options)
        return quantized_network(model, graphs.graph.outputs, path=path, threads=threads)

    own = at(tuple(sorted((n, graphs.graph.types[n].shape) for n in graphs.graph.inputs)))
    return Network(own.name, lambda feeds: at(shapes_of(feeds)).run(feeds), own.outputs)
