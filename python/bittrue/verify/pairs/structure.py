"""What two compiled stages are made of, in words where they differ: tensors, layers, arithmetic, quantization."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bittrue.quantize.model import QuantizedModel
from bittrue.verify.pairs.nets import CompiledNet

LISTED = 6


def structure_differences(a: CompiledNet, b: CompiledNet) -> list[str]:
    """One line for each kind of difference; a is the reference, b the run. Coefficients are not looked at."""
    lines = [f"name '{a.net}' in the reference, '{b.net}' in the run"] if a.net != b.net else []
    if a.kind != b.kind:
        lines.append(f"{a.kind} in the reference, {b.kind} in the run")
    for side in ("inputs", "outputs"):
        old, new = ({io.name: _io_text(io) for io in getattr(net, side)} for net in (a, b))
        lines += _differences(side, old, new)
    if a.model is None or b.model is None:
        return lines
    for what in ("target", "precision"):
        old, new = getattr(a.model, what), getattr(b.model, what)
        lines += [f"{what} {old} in the reference, {new} in the run"] if old != new else []
    rules = ({k: str(v) for k, v in net.model.arithmetic.items()} for net in (a, b) if net.model)
    lines += _differences("arithmetic", *rules)
    lines += _differences("layers", _layers(a.model), _layers(b.model))
    lines += _differences("quantization", _quantization(a.model), _quantization(b.model))
    return lines


def _io_text(io: Any) -> str:
    return f"{io.dtype} {list(io.shape)} scale {io.scale:g} zero point {io.zero_point}"


def _layers(model: QuantizedModel) -> dict[str, str]:
    texts = {}
    for node in model.graph.nodes:
        attrs = ", ".join(f"{k}={v}" for k, v in sorted(node.attrs.items()) if k != "evidence")
        texts[node.name] = f"{node.op}({', '.join(node.inputs)}; {attrs})"
    return texts


def _quantization(model: QuantizedModel) -> dict[str, str]:
    return {n: f"{q.dtype} scale {q.scale:.9g} zero point {q.zero_point}" for n, q in model.tensors.items()}


def _differences(what: str, old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    lines = []
    for side, names in (("reference", [n for n in old if n not in new]), ("run", [n for n in new if n not in old])):
        if names:
            lines.append(f"{what} only in the {side}: {_listed(names)}")
    changed = [n for n in old if n in new and old[n] != new[n]]
    if changed:
        first = changed[0]
        example = f"{_short(old[first])} in the reference, {_short(new[first])} in the run"
        lines.append(f"{what} differ in {len(changed)} of {len(old)}: {_listed(changed)}; {first}: {example}")
    return lines


def _listed(names: list[str]) -> str:
    return ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")


def _short(text: str, limit: int = 160) -> str:
    return text if len(text) <= limit else text[: limit - 4] + " ..."
