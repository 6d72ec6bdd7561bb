"""What the tests of comparisons share: one compiled network, its tensors, and running a verb."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import yaml
from click.testing import CliRunner

from bittrue import api
from bittrue.containers.context_dir import save_npz
from bittrue.errors import BittrueError
from bittrue.quantize.model import QuantizedModel

Array = np.ndarray[Any, Any]
WORK = TemporaryDirectory(prefix="bittrue-digits-")
DIGITS = Path(__file__).resolve().parents[2] / "reference_data/digits"


@cache
def compiled(method: str = "max", sample: int = 0) -> Path:
    """A context directory of the digits network; nobody changes it."""
    folder = Path(WORK.name) / f"{method}{sample}"
    graph = api.load_float(DIGITS / "digits.onnx")
    table = api.calibrate(graph, api.records(graph, DIGITS / "calibration.npz"), method=method)
    samples = iter(api.records(graph, DIGITS / "test.npz"))
    feeds = [next(samples).feeds for _ in range(sample + 1)][-1]
    api.compile(graph, "bm1684", folder, table=table, reference=feeds)
    return folder


@cache
def model() -> QuantizedModel:
    return api.load(compiled())


@cache
def tensors() -> Mapping[str, Array]:
    """Every layer of the reference run, by name."""
    return dict(np.load(compiled() / "layers_ref.npz"))


@cache
def inputs() -> Mapping[str, Array]:
    """The network inputs of the reference run."""
    graph = model().graph
    data = (compiled() / "input_ref_data.dat").read_bytes()
    (name,) = graph.inputs
    return {name: np.frombuffer(data, graph.types[name].dtype).reshape(graph.types[name].shape)}


def write_map(folder: Path, **content: Any) -> Path:
    path = folder / "map.yaml"
    path.write_text(yaml.safe_dump({"schema": "bittrue-map/1", **content}))
    return path


def archive(path: Path, arrays: Mapping[str, Array]) -> Path:
    """An .npz, or for a path without an ending a folder with one raw file a tensor."""
    if path.suffix == ".npz":
        save_npz(path, dict(arrays))
        return path
    for name, array in arrays.items():
        file = path / f"{name}.bin"
        os.makedirs(file.parent, exist_ok=True)
        file.write_bytes(array.tobytes())
    return path


def run(command: Any, *arguments: object) -> tuple[int, str]:
    """(exit code, what was printed and the error line). Lines that were wrapped are one again."""
    result = CliRunner().invoke(command, [str(a) for a in arguments], standalone_mode=False)
    output = re.sub(r"\n {2,7}(?=[^\s\d])", " ", result.output)
    if isinstance(result.exception, BittrueError):
        return result.exception.exit_code, f"{output}{result.exception}"
    if result.exception is not None:
        raise result.exception
    return 0, output
