"""Context directories of one float layer, made in a moment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from bittrue import api
from bittrue.containers.context_combine import combine_dirs


def relu_dir(folder: Path, name: str, shape: tuple[int, ...] = (1, 3, 2, 2), seed: int = 0) -> Path:
    """One network of one stage: y = max(x, 0) in float32, with random reference data."""
    tensors = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"], name="relu")], name, tensors[:1], tensors[1:])
    model = folder.parent / f"{folder.name}.onnx"
    folder.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), model)
    api.compile(api.load_float(model), "bm1684", folder, precision="fp32", net_name=name, seed=seed)
    (folder / "manifest.json").unlink()  # its hashes would refuse changed reference data
    return folder


def joined_dir(folder: Path, *parts: tuple[str, tuple[int, ...]]) -> Path:
    """Networks and stages in one model: parts of one name become stages of one network."""
    made = [relu_dir(folder.parent / f"{folder.name}_{k}", *part, seed=k) for k, part in enumerate(parts)]
    combine_dirs(made, folder)
    return folder


def spoil(folder: Path, element: int, value: float, file: str = "output_ref_data.dat") -> None:
    """Changes one float of a reference file."""
    data = np.fromfile(folder / file, np.float32)
    data[element] = value
    data.tofile(folder / file)
