"""Small Caffe models for the tests: texts and arrays to files, and their float results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.calibrate.float_runner import FloatRunner
from bittrue.graph.ir import Graph
from bittrue.importers import CaffeOptions, load_float_graph
from bittrue.importers.caffe.schema import new_message

Array = np.ndarray[Any, Any]
Blobs = Mapping[str, Sequence[Any]]


def write_caffemodel(path: Path, blobs: Blobs) -> Path:
    """A caffemodel with float blobs in the new form."""
    weights = new_message("Weights")
    for name, arrays in blobs.items():
        layer = weights.layer.add(name=name)
        for array in arrays:
            value = np.asarray(array, np.float32)
            blob = layer.blobs.add()
            blob.shape.dim.extend(value.shape)
            blob.data.extend(value.ravel().tolist())
    path.write_bytes(weights.SerializeToString())
    return path


def load(tmp_path: Path, text: str, blobs: Blobs | None = None, **options: Any) -> Graph:
    """The float graph of a prototxt text; without blobs the weights are random."""
    prototxt = tmp_path / "net.prototxt"
    prototxt.write_text(text)
    shapes = options.pop("shapes", None)
    if blobs is None:
        caffe = CaffeOptions(random_weights=0, **options)
    else:
        caffe = CaffeOptions(write_caffemodel(tmp_path / "net.caffemodel", blobs), **options)
    return load_float_graph(prototxt, input_shapes=shapes, caffe=caffe)


def inputs(*shapes: Sequence[int]) -> str:
    """Inputs a, b, .. of these shapes."""
    lines = []
    for name, shape in zip("abcdef", shapes, strict=False):
        lines.append(f'input: "{name}" input_shape {{ {" ".join(f"dim: {d}" for d in shape)} }}')
    return "\n".join(lines)


def layer(kind: str, parameters: str = "", bottoms: str = "a", tops: str = "y", name: str = "l") -> str:
    """One layer; bottoms and tops are separated by blanks."""
    ends = [f'bottom: "{b}"' for b in bottoms.split()] + [f'top: "{t}"' for t in tops.split()]
    return f'layer {{ name: "{name}" type: "{kind}" {" ".join(ends)} {parameters} }}\n'


def evaluate(
    tmp_path: Path, kind: str, parameters: str, arrays: Sequence[Array], blobs: Sequence[Any] = (), tops: str = "y"
) -> list[Array]:
    """Results of one layer on the inputs a, b, .. ."""
    names = "abcdef"[: len(arrays)]
    text = inputs(*(a.shape for a in arrays)) + layer(kind, parameters, " ".join(names), tops)
    graph = load(tmp_path, text, {"l": blobs} if len(blobs) else {"other": [np.ones(1)]})
    feeds = {n: np.asarray(a, np.float32) for n, a in zip(names, arrays, strict=True) if n in graph.inputs}
    results = FloatRunner(graph).run(feeds)
    return [results[t] for t in tops.split()]
