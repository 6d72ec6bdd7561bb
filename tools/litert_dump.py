"""Writes every tensor of a TFLite model as LiteRT computes it: a per-layer dump to compare with.

    python tools/litert_dump.py MODEL.tflite dump.npz [--input in.npz] [--default-kernels] [--seed 0]

Without --input the inputs are random. --default-kernels: the optimized kernels (XNNPACK) in place of the reference
ones. Names that stand twice get their number appended, as the importer does.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from bittrue.containers.context_dir import save_npz

Array = np.ndarray[Any, Any]


def litert_dump(
    model: Path, inputs: dict[str, Array] | None = None, *, reference: bool = True, seed: int = 0
) -> dict[str, Array]:
    """Every tensor by name, as stored (NHWC). inputs: by tensor name; random without."""
    kind = OpResolverType.BUILTIN_REF if reference else OpResolverType.AUTO
    interpreter = Interpreter(
        model_path=str(model), experimental_op_resolver_type=kind, experimental_preserve_all_tensors=True, num_threads=1
    )
    interpreter.allocate_tensors()
    rng = np.random.default_rng(seed)
    for detail in interpreter.get_input_details():
        value = (inputs or {}).get(detail["name"])
        interpreter.set_tensor(detail["index"], random_input(rng, detail) if value is None else value)
    interpreter.invoke()
    result: dict[str, Array] = {}
    for detail in sorted(interpreter.get_tensor_details(), key=lambda d: d["index"]):
        name = detail["name"] or f"tensor_{detail['index']}"
        name = name if name not in result else f"{name}_{detail['index']}"
        try:
            result[name] = np.array(interpreter.get_tensor(detail["index"]))
        except ValueError:  # temporaries that hold nothing
            continue
    return result


def random_input(rng: np.random.Generator, detail: dict[str, Any]) -> Array:
    """Of the type of an input."""
    dtype, shape = np.dtype(detail["dtype"]), tuple(detail["shape"])
    if dtype.kind == "f":
        return rng.normal(0, 1, shape).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, int(info.max) + 1, shape).astype(dtype)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("model", type=Path)
    parser.add_argument("dump", type=Path)
    parser.add_argument("--input", type=Path)
    parser.add_argument("--default-kernels", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    inputs = dict(np.load(a.input)) if a.input else None
    save_npz(a.dump, litert_dump(a.model, inputs, reference=not a.default_kernels, seed=a.seed))


if __name__ == "__main__":
    sys.exit(main())
