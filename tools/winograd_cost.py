"""What Winograd F(2,3) costs on a real network and writes the table of docs/sophgo-quantization.md.

    python -m tools.winograd_cost SHARED docs/sophgo-quantization.md

SHARED is a folder with models/caffe and data as this project's tests use it. The face detector is calibrated by KL on
20 pictures; the SQNR of every layer that can run as Winograd is that on the first of them.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from bittrue import api
from bittrue.quantize.context import QuantizeOptions
from bittrue.quantize.model import QuantizedModel
from bittrue.quantize.quantizer import quantize
from bittrue.targets.loader import load_target
from bittrue.vendor.sophgo.calibration.cost import winograd_costs
from tools import caffe_models

BEGIN, END = "<!-- winograd: begin -->", "<!-- winograd: end -->"
SWAP = "bm1684.wino_shift_swap"


def main(shared: Path, page: Path) -> None:
    case = next(c for c in caffe_models.CASES if c.name == "yufacedetect-ssd")
    graph = caffe_models.float_graph(shared, case)
    records = list(api.records(graph, shared / "data/coco-20", case.preprocess))
    table = api.calibrate(graph, records)
    target = load_target("bm1684")
    straight = replace(target, profile=target.profile.model_copy(deep=True))
    straight.profile.rules[SWAP].value = "off"
    asked = QuantizeOptions(winograd=frozenset(n.name for n in graph.nodes if n.op == "Conv"))
    models: list[QuantizedModel] = [
        quantize(graph, table.tensors, chip, options=options)
        for chip, options in ((target, None), (target, asked), (straight, asked))
    ]
    rows = ["| SQNR in dB of | direct | Winograd | Winograd, scales not swapped |", "|---|---|---|---|"]
    for what, values in winograd_costs(graph, models, records[0]):
        rows.append(f"| {what} | " + " | ".join(values) + " |")
        print(rows[-1])
    text = page.read_text()
    page.write_text(text.split(BEGIN)[0] + BEGIN + "\n" + "\n".join(rows) + "\n" + END + text.split(END)[1])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
