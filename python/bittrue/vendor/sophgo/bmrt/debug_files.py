"""Text and raw files that --debug_output and BMRT_SAVE_IO_TENSORS write into the current folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.containers.build import IoTensor
from bittrue.containers.refdata import to_bytes
from bittrue.vendor.sophgo.bmrt.numbers import numbers

Array = np.ndarray[Any, Any]
C_TYPES = {
    "float32": "float", "int8": "signed_char", "uint8": "unsigned_char", "int16": "short", "uint16": "unsigned_short",
    "int32": "int", "uint32": "unsigned_int", "float16": "tpu::fp16", "bfloat16": "tpu::bf16",
}  # fmt: skip


def text_of(tensor: IoTensor, value: Array) -> str:
    """Rows of values, right-aligned to 4, by N and C; the last four dimensions only."""
    ctype = C_TYPES.get(tensor.dtype, tensor.dtype)
    rank = len(tensor.shape)
    if rank > 4:
        lines = [f"{ctype}, shape=[{''.join(f'{d},' for d in tensor.shape)}]"]
        lines.append("rank > 4, dump the last 4 dimension only.")
        value = value.reshape(-1, *tensor.shape[-4:])[0]
    else:
        shape = [*tensor.shape, *[1] * (4 - rank)]
        lines = [f"{ctype}, shape[N, C, H, W]=[{','.join(map(str, shape))}]"]
        value = value.reshape(shape)
    cells = np.array([f"{text:>4} " for text in numbers(value)], dtype=object).reshape(value.shape)
    for n, sample in enumerate(cells):
        for c, channel in enumerate(sample):
            lines.append(f"N={n}, C={c}")
            lines += ["".join(row) for row in channel]
            lines.append("")
        lines.append("")
    return "\n".join(lines) + "\n"


def write_text(kind: str, tensor: IoTensor, value: Array) -> None:
    """`<kind>_<ctype>.txt`"""
    ctype = C_TYPES.get(tensor.dtype, tensor.dtype)
    Path(f"{kind}_{ctype}.txt".replace("/", "_")).write_text(text_of(tensor, value))


def write_values(name: str, value: Array) -> None:
    """One decimal value per line."""
    Path(f"{name}.dat").write_text("".join(f"{text}\n" for text in numbers(value)))


def save_io(
    inputs: Sequence[IoTensor], feeds: Mapping[str, Array], outputs: Sequence[IoTensor], results: Mapping[str, Array]
) -> None:
    """`input_ref_data.dat.bmrt` and `output_ref_data.dat.bmrt`, of the last launch."""
    for name, tensors, values in (("input", inputs, feeds), ("output", outputs, results)):
        Path(f"{name}_ref_data.dat.bmrt").write_bytes(b"".join(to_bytes(t, values[t.name]) for t in tensors))
