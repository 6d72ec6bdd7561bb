"""Compares quantized TFLite models with LiteRT's kernels and writes the table of docs/tflite.md.

    python -m tools.litert_table SHARED docs/tflite.md

SHARED is a folder with models/tflite as this project's tests use it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bittrue.errors import BittrueError
from bittrue.importers.tflite_quantized import load_tflite
from bittrue.report.result import BORN
from bittrue.verify.explain.dump import explain_dump
from tools.litert_dump import litert_dump

BEGIN, END = "<!-- litert: begin -->", "<!-- litert: end -->"


def row(file: Path) -> str:
    """One model: its reference kernels, then what differs in the default ones and why. "" if it cannot be imported."""
    try:
        model = load_tflite(file)
        exact, _ = explain_dump(model, litert_dump(file))
        other, _ = explain_dump(model, litert_dump(file, reference=False))
    except (BittrueError, ValueError) as e:
        print(f"{file.name}: {str(e)[:150]}")
        return ""
    tensors = other.nets[0].tensors
    born = [t for t in tensors if t.origin in BORN]
    first = [t.causes[0] for t in born if t.causes]
    floats = sum(c.status == "PROVEN" and c.label == "FLOAT32_SCALE" for c in first)
    proven = sum(c.status == "PROVEN" for c in first)
    cells = (
        f"{file.parent.name}/{file.stem}",
        f"{exact.summary.mismatches} of {exact.summary.elements:,}",
        f"{sum(1 for t in tensors if t.n_bad)} of {len(tensors)}",
        str(len(born)),
        str(floats),
        str(proven - floats),
        str(len(born) - proven),
        str(len(model.meta["left_out"])),
    )
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    shared, page = Path(sys.argv[1]), Path(sys.argv[2])
    rows = [
        "| model | reference kernels: elements that differ | default kernels: tensors that differ | born there | float "
        "requantization proven | another rule proven | unexplained | ops left out |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for file in sorted((shared / "models/tflite").rglob("*.tflite")):
        if text := row(file):
            print(text, flush=True)
            rows.append(text)
    content = page.read_text()
    page.write_text(content.split(BEGIN)[0] + BEGIN + "\n" + "\n".join(rows) + "\n" + END + content.split(END)[1])


if __name__ == "__main__":
    sys.exit(main())
