"""One float network at several shapes of its inputs, for networks that take pictures of any size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bittrue.errors import BittrueError, DataError
from bittrue.graph.ir import Graph

FLATTENING = ("Flatten", "Reshape", "Squeeze", "Transpose")
Shapes = Mapping[str, tuple[int, ...]]


def shapes_of(feeds: Mapping[str, np.ndarray[Any, Any]]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Input shapes of an inference, as a key."""
    return tuple(sorted((name, tuple(value.shape)) for name, value in feeds.items()))


class ShapedGraphs:
    """A float network that is read again for other shapes of its inputs.

    Reading again is exact whatever a frontend derives from shapes: Caffe's rounded up pools, priors, reshapes.
    graph: at the shapes it was read with first. load: reads it at others; without, there are no others.
    """

    def __init__(self, graph: Graph, load: Callable[[dict[str, tuple[int, ...]]], Graph] | None = None) -> None:
        self.graph = graph
        self._load = load
        self._names = list(graph.activations())
        self.others: set[tuple[int, ...]] = set()  # shapes of first inputs that it was read again for

    def at(self, shapes: Shapes) -> Graph:
        """The network at the shapes of its inputs. Raises DataError for those that it does not take: its layers must
        have the same weights and the same results, as those of fully convolutional networks do."""
        own = {n: self.graph.types[n].shape for n in self.graph.inputs}
        if dict(shapes) == own:
            return self.graph
        name = next((n for n in own if shapes.get(n) != own[n]), "")
        if name not in shapes:
            raise DataError(f"input '{name}' is missing")
        wrong = f"shape {list(shapes[name])}, '{name}' needs {list(own[name])}"
        if self._load is None:
            raise DataError(wrong)
        if layer := _size_fixing_layer(self.graph):
            raise DataError(f"{wrong}: layer '{layer}' takes maps of one size")
        try:
            graph = self._load(dict(shapes))
        except BittrueError as e:
            raise DataError(f"{wrong}, and the network takes no other: {e}") from e
        if list(graph.activations()) != self._names:
            raise DataError(f"{wrong}; at the other shape the network has other layers")
        self.others.add(shapes[self.graph.inputs[0]])
        return graph


def _size_fixing_layer(graph: Graph) -> str | None:
    """The first layer that multiplies a whole flattened map with a matrix. That its rounded size may fit another input
    by chance does not make it right for it."""
    producer = graph.producer()
    for node in graph.nodes:
        if node.op not in ("Gemm", "MatMul"):
            continue
        source = node.inputs[0]
        while (made_by := producer.get(source)) and made_by.op in FLATTENING:
            source = made_by.inputs[0]
        if len(graph.types[source].shape) == 4 and graph.types[source].shape[2:] != (1, 1):
            return node.name
    return None
