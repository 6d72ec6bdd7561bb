"""Plants every fault of tests/verify/planted.py into random layers of real networks and writes the table of
docs/explain.md: how often the layer and the cause were named right.

    python -m tools.planted_faults SHARED docs/explain.md [--layers 3]

SHARED is a folder with models/onnx as this project's tests use it. Seeds are fixed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
from tests.verify.planted import FAULTS, plant
from tests.verify.test_planted import clean_run, examine

from bittrue import api
from bittrue.calibrate.data import Record
from bittrue.report.result import BORN

BEGIN, END = "<!-- planted faults: begin -->", "<!-- planted faults: end -->"
MODELS: dict[str, tuple[str, dict[str, tuple[int, ...]]]] = {
    "mnist": ("mnist/mnist.onnx", {}),
    "ppocr classifier": ("ppocr/ch_ppocr_mobile_v2.0_cls_infer.onnx", {"x": (1, 3, 48, 192)}),
    "rfb320": ("rfb320/version-RFB-320_without_postprocessing.onnx", {}),
    "yunet": ("yunet/yunet_n_320_320.onnx", {}),
    "fastestdet": ("fastestdet/FastestDet.onnx", {}),
}
TARGETS = ("bm1684", "bm1684x")


def count(file: Path, shapes: dict[str, tuple[int, ...]], target: str, most: int) -> tuple[Counter[str], list[str]]:
    """Totals for one network: planted, layer, first (the first cause is right), cause (it is among the proven ones),
    proven, alarms (differences in a clean run); and what went wrong."""
    graph = api.load_float(file, shapes=shapes)
    rng = np.random.default_rng(1)
    feeds = {n: rng.uniform(0, 1, graph.types[n].shape).astype(np.float32) for n in graph.inputs}
    model = api.quantize(graph, api.calibrate(graph, [Record("r", feeds)], method="max").tensors, target)
    inputs = api.reference_feeds(model, feeds)
    values, nodes, total, wrong = clean_run(model, inputs), model.graph.nodes, Counter[str](), []
    total["alarms"] = sum(t.verdict != "EQUAL" for t in examine(model, inputs, values))
    for number, fault in enumerate(FAULTS):
        planted = 0
        for k in np.random.default_rng(number).permutation(len(nodes)):
            dump = plant(model.graph, nodes[k], fault, values, int(k))
            if dump is None:
                continue
            planted += 1
            born = [t for t in examine(model, inputs, dump) if t.origin in BORN and t.role == "inner"]
            causes = born[0].causes if born else []
            named = {c.cls for c in causes if c.status == causes[0].status}
            total["planted"] += 1
            total["layer"] += [t.layer for t in born] == [nodes[k].name]
            total["first"] += bool(causes) and causes[0].cls in fault.classes
            total["cause"] += bool(named & set(fault.classes))
            total["proven"] += bool(causes) and causes[0].status == "PROVEN"
            if not causes or causes[0].cls not in fault.classes:
                wrong.append(f"{fault.name} in {nodes[k].op} {nodes[k].name}: {causes[0].sentence if causes else '-'}")
            if planted == most:
                break
    return total, wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("shared", type=Path)
    parser.add_argument("page", type=Path)
    parser.add_argument("--layers", type=int, default=3)
    arguments = parser.parse_args()
    rows = [
        "| network | target | faults planted | layer right | cause right | cause first | proven | false alarms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    sums: Counter[str] = Counter()
    for name, (file, shapes) in MODELS.items():
        for target in TARGETS:
            started = time.perf_counter()
            total, wrong = count(arguments.shared / "models/onnx" / file, shapes, target, arguments.layers)
            sums += total
            rows.append(row(name, target, total))
            print(rows[-1], f"{time.perf_counter() - started:.0f} s", *wrong, sep="\n  ", flush=True)
    rows.append(row("all", "", sums))
    page = arguments.page.read_text()
    head, tail = page.split(BEGIN)[0], page.split(END)[1]
    arguments.page.write_text(f"{head}{BEGIN}\n" + "\n".join(rows) + f"\n{END}{tail}")


def row(name: str, target: str, total: Counter[str]) -> str:
    keys = ("planted", "layer", "cause", "first", "proven", "alarms")
    return f"| {name} | {target} | " + " | ".join(str(total[k]) for k in keys) + " |"


if __name__ == "__main__":
    sys.exit(main())
