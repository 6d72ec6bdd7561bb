"""One float network at several shapes of its inputs, for networks that take pictures of any size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bittrue.errors import BittrueError, DataError
from bittrue.graph.ir import Graph

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
        try:
            graph = self._load(dict(shapes))
        except BittrueError as e:
            raise DataError(f"{wrong}, and the network takes no other: {e}") from e
        if list(graph.activations()) != self._names:
            raise DataError(f"{wrong}; at the other shape the network has other layers")
        return graph
