"""Small networks for audits, and the command line in this process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bittrue import api
from bittrue.calibrate.data import Record
from bittrue.calibrate.table import CalibrationTable
from bittrue.cli.main import main
from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.quantize.model import QuantizedModel, TensorQuant

DIGITS = Path(__file__).parents[2] / "reference_data/digits"
CHANNELS = 6


def run_cli(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of the `bittrue` command."""
    before, sys.argv = sys.argv, ["bittrue", *map(str, arguments)]
    try:
        main()
    except SystemExit as e:
        code = int(e.code or 0)
    finally:
        sys.argv = before
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def three_convolutions(folder: Path, outlier: float = 0.0) -> Path:
    """A classifier conv0 -> conv1 -> conv2 -> pool.

    outlier: a weight of conv1 that only reads a channel that is always zero, so the float network ignores it while
    every other weight of the layer shares its scale on targets with one scale per layer.
    """
    rng = np.random.default_rng(1)
    weights = [rng.normal(0, 0.4, (CHANNELS, c, 3, 3)).astype(np.float32) for c in (3, CHANNELS, CHANNELS)]
    weights[0][2] = 0
    if outlier:
        weights[1][0, 2, 1, 1] = outlier
    nodes, tensors, x = [], [], "x"
    for i, w in enumerate(weights):
        tensors.append(numpy_helper.from_array(w, f"w{i}"))
        nodes.append(helper.make_node("Conv", [x, f"w{i}"], [f"c{i}"], f"conv{i}", pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"c{i}"], [f"r{i}"], f"relu{i}"))
        x = f"r{i}"
    nodes.append(helper.make_node("GlobalAveragePool", [x], ["p"], "pool"))
    nodes.append(helper.make_node("Flatten", ["p"], ["y"], "flatten"))
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 8, 8))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, CHANNELS))],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "net.onnx")
    return folder / "net.onnx"


def pictures(count: int, seed: int = 0, labels: bool = False) -> list[Record]:
    rng = np.random.default_rng(seed)
    return [
        Record(
            f"p{i}",
            {"x": rng.normal(0, 1, (1, 3, 8, 8)).astype(np.float32)},
            rng.integers(0, CHANNELS, 1) if labels else None,
        )
        for i in range(count)
    ]


def table_of(graph: Graph, records: list[Record]) -> CalibrationTable:
    return api.calibrate(graph, records, method="max")


def one_node(op: str, inputs: dict[str, tuple[str, tuple[int, ...]]], constants: dict[str, np.ndarray], output: Any,
             **attrs: Any) -> Graph:  # fmt: skip
    """A quantized graph of one node; output: (dtype, shape)."""
    graph = Graph("g", inputs=list(inputs), outputs=["y"])
    graph.types |= {n: TensorType(*t) for n, t in inputs.items()} | {"y": TensorType(*output)}
    for name, value in constants.items():
        graph.add_constant(name, value)
    graph.nodes = [Node(op, "node", [*inputs, *constants], ["y"], attrs, "bittrue")]
    return graph


def quantized(graph: Graph) -> QuantizedModel:
    records = {n: TensorQuant("int8", 1.0, 0, 127.0, -127.0, 127.0, "test") for n in (*graph.inputs, *graph.outputs)}
    return QuantizedModel(graph, "bm1684", "int8", {}, records)
