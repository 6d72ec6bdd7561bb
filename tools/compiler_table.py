"""Compiles real and published networks with the command lines of the vendor and writes the table of
docs/sophgo-compilers.md, below its heading "Networks".

    python -m tools.compiler_table SHARED docs/sophgo-compilers.md [WORD ..]

SHARED is a folder with models/caffe, models/caffe-prototxt and models/onnx as this project's tests use it; words select
models by a part of their path. Prototxts without weights get random ones. Every layer is compared while compiling.
"""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from bittrue import api
from bittrue.errors import BittrueError
from bittrue.vendor.sophgo.compilers.build import build
from bittrue.vendor.sophgo.compilers.frontends import Source
from bittrue.vendor.sophgo.compilers.log import ERROR, Log
from bittrue.vendor.sophgo.compilers.options import COMPILERS
from tools.caffe_shapes import SHAPES

HEADING = "## Networks\n"
CHIPS = ("BM1684", "BM1682")
# Shapes of inputs that the files leave open.
OPEN = {
    "lenet": "[1,1,28,28]",
    "cifar10_m4_train_test": "[1,3,32,32]",
    "det1": "[1,3,120,160]",
    "float_model": "[1,3,64,64]",
    "models__intel_optimized_models__benchmark__ssd_mobilenet__deploy": "[1,3,300,300]",  # 32 pictures in the file
    "yunet_n_dynamic": "[1,3,320,320]",
    "silero_vad_16k_op15": "[1,512],[2,1,128]",
    "super_resolution": "[1,1,224,224]",
    "residual_block": "[1,3,224,224]",
    "ch_PP-OCRv2_det_infer": "[1,3,320,320]",
    "ch_ppocr_mobile_v2.0_cls_infer": "[1,3,48,192]",
    "ch_ppocr_mobile_v2.0_cls_infer.modify": "[1,3,48,192]",
    **{stem: str([list(s) for s in shapes.values()]) for stem, shapes in SHAPES.items()},
}


@dataclass(frozen=True)
class Model:
    """compiler: its name. weight: None for random weights."""

    compiler: str
    path: Path
    weight: Path | None = None


def models(shared: Path) -> list[Model]:
    """All models of the folder, weights beside their prototxt."""
    found = []
    for path in sorted((shared / "models/caffe").rglob("*.prototxt")):
        weights = sorted(path.parent.glob("*.caffemodel"))
        own = [w for w in weights if w.stem == path.stem] or weights
        found.append(Model("bmnetc", path, own[0]))
    found += [Model("bmnetc", p) for p in sorted((shared / "models/caffe-prototxt").rglob("*.prototxt"))]
    return found + [Model("bmneto", p) for p in sorted((shared / "models/onnx").rglob("*.onnx"))]


def row(shared: Path, model: Model) -> str:
    """One line of the table."""
    cells = [str(model.path.relative_to(shared / "models").with_suffix("")), model.compiler]
    cells.append("random" if model.compiler == "bmnetc" and model.weight is None else "trained")
    results = [compiled(model, chip) for chip in CHIPS]
    return "| " + " | ".join([*cells, *results]) + " |"


def compiled(model: Model, chip: str) -> str:
    """What compiling for a chip and verifying the folder give."""
    with tempfile.TemporaryDirectory() as folder:
        words = [f"--model={model.path}", f"--outdir={folder}/out", f"--target={chip}"]
        words += [f"--weight={model.weight or 'random'}"] if model.compiler == "bmnetc" else []
        if shapes := OPEN.get(model.path.stem):
            words.append(f"--shapes={shapes}")
        options = COMPILERS[model.compiler].tool.parse(words)
        source = Source(model.compiler, model.path, model.weight, options["opt"])
        start = time.perf_counter()
        try:
            with redirect_stdout(StringIO()):  # the lines at the end of each
                build(source, options, Log(model.compiler, ERROR))
            seconds = time.perf_counter() - start
            s = api.verify(Path(folder) / "out").summary
        except BittrueError as e:
            return f"exit {e.exit_code}: {str(e).replace(str(model.path), model.path.name).replace('|', '/')}"
    return f"{s.mismatches} of {s.elements:,} elements of {s.compared} tensors differ; {seconds:.0f} s"


def main(shared: Path, out: Path, words: list[str]) -> None:
    chosen = [m for m in models(shared) if not words or any(w in str(m.path) for w in words)]
    rows = []
    for model in chosen:
        rows.append(row(shared, model))
        print(rows[-1], flush=True)
    if words:
        return
    head = out.read_text().split(HEADING)[0] if out.exists() else ""
    text = [
        HEADING,
        "Made by `python -m tools.compiler_table SHARED docs/sophgo-compilers.md`: compiled with every layer compared,",
        "then verified from the folder. Times are of compiling, on one of two shared cores.",
        "",
        "| model | compiler | weights | " + " | ".join(CHIPS) + " |",
        "|---|---|---|---|---|",
        *rows,
        "",
    ]
    out.write_text(head + "\n".join(text))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
