"""Writes reference_data/digits/golden.json: the digest of every layer of the shipped network on every target.

    python tools/make_golden.py reference_data/digits

The digests come from the numpy models of the ops on the first calibration image; the tests compare both the numpy
models and the C++ core with them, so a change of arithmetic anywhere shows.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from bittrue import api
from bittrue.compiler import digest
from bittrue.containers.context_dir import file_sha256
from bittrue.ops import evaluate_graph

VARIANTS = [("bm1684", "int8"), ("bm1684x", "int8"), ("bm1684", "fp32")]


def golden(folder: Path) -> dict[str, Any]:
    """The content of golden.json."""
    graph = api.load_float(folder / "digits.onnx")
    data = api.records(graph, folder / "calibration.npz")
    table = api.calibrate(graph, data, method="max")
    feeds = next(iter(data)).feeds
    targets = {}
    for target, precision in VARIANTS:
        model = api.quantize(graph, table.tensors, target, precision=precision)
        values = evaluate_graph(model.graph, api.reference_feeds(model, feeds))
        layers = {
            n: digest(v) for n, v in values.items() if model.graph.types[n].dtype != "float32" or precision == "fp32"
        }
        targets[f"{target} {precision}"] = layers
    hashes = {name: file_sha256(folder / name) for name in ("digits.onnx", "calibration.npz")}
    return {"made_by": "tools/make_golden.py", "calibration": "max", "inputs": hashes, "layers": targets}


if __name__ == "__main__":
    destination = Path(sys.argv[1])
    (destination / "golden.json").write_text(json.dumps(golden(destination), indent=1) + "\n")
