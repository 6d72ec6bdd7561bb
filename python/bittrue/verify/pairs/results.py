"""Two stored results: what became worse or better, tensor by tensor."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from bittrue.errors import DataError
from bittrue.report.result import Result, TensorResult, new_result
from bittrue.verify.fingerprints import check_fingerprints
from bittrue.verify.pairs.options import CompareOptions

# From best to worst. A word that is not here is worse than all.
ORDER = ("EXTRA", "EQUAL", "WITHIN", "SIMILAR", "OFF_BY_LSB", "DIFFERENT", "NONFINITE", "NOT_COMPARABLE", "MISSING")
# metric -> (sign of what is better, relative change that does not count)
METRICS = {"n_bad": (-1, 0.0), "max_abs": (-1, 1e-9), "sqnr_db": (1, 1e-6), "cosine": (1, 1e-9)}


def compare_results(ref: Path, got: Path, options: CompareOptions) -> Result:
    """Each tensor of the second result is SAME, BETTER or WORSE than in the first; one that only the first has is
    MISSING. The policy does not matter: stored verdicts and metrics are compared.

    Raises DataError for results of other inputs and if nothing could be compared.
    """
    first, second = Result.load(ref), Result.load(got)
    old_inputs, new_inputs = ({i["name"]: str(i.get("sha256", "")) for i in r.inputs} for r in (first, second))
    result = new_result("compare", name=got.name)
    result.warnings = check_fingerprints(old_inputs, new_inputs, options.allow_other_inputs)
    result.warnings += [f"{what} differs: {a} and {b}" for what, a, b in _circumstances(first, second)]
    result.sources = {"reference": str(ref), "run": str(got)}
    result.target = second.target
    before, after = ({(n.name, n.stage): n for n in r.nets} for r in (first, second))
    compared = 0
    for key in dict.fromkeys([*before, *after]):
        if key not in before or key not in after:
            if key in before:
                result.add_stage(*key, [], "the stage is in the reference only")
            else:
                result.warnings.append(f"network {key[0]} stage {key[1]} is in the run only")
            continue
        old = {(t.name, t.role): t for t in before[key].tensors}
        new = {(t.name, t.role): t for t in after[key].tensors}
        tensors = [_changed(old.get(k), new.get(k)) for k in dict.fromkeys([*old, *new])]
        compared += sum(1 for k in old if k in new)
        broke = after[key].error if after[key].error and not before[key].error else ""
        result.add_stage(*key, sorted(tensors, key=lambda t: (t.role == "output", t.index)), broke)
    if not compared:
        raise DataError(f"{ref} and {got}: nothing was compared: no tensor is in both results")
    counts = {w: sum(t.verdict == w for n in result.nets for t in n.tensors) for w in ("WORSE", "BETTER", "SAME")}
    if result.summary.passed:
        result.summary.sentence = ", ".join(f"{n} tensors {w.lower()}" for w, n in counts.items())
    return result


def _circumstances(first: Result, second: Result) -> list[tuple[str, Any, Any]]:
    """What else is not the same: never silent."""
    pairs = [
        ("policy", first.policy.get("name"), second.policy.get("name")),
        ("target", first.target.get("name"), second.target.get("name")),
        ("profile", first.target.get("user_profile"), second.target.get("user_profile")),
        ("arith", first.target.get("arith"), second.target.get("arith")),
        ("model", first.model.get("model_sha256"), second.model.get("model_sha256")),
        ("version", first.tool.get("version"), second.tool.get("version")),
        ("path", first.tool.get("path"), second.tool.get("path")),
    ]
    return [(what, a, b) for what, a, b in pairs if a != b]


def _changed(old: TensorResult | None, new: TensorResult | None) -> TensorResult:
    if old is None or new is None:
        seen = new or old
        assert seen is not None
        word = "MISSING" if new is None else "EXTRA"
        return seen.model_copy(update={"verdict": word, "detail": f"{seen.verdict} in the only result that has it"})
    worse, better, texts = _verdicts(old, new)
    for name, (sign, tolerance) in METRICS.items():
        a, b = _number(getattr(old, name)), _number(getattr(new, name))
        if a is None or b is None or math.isclose(a, b, rel_tol=tolerance):
            continue
        worse, better = worse or (b - a) * sign < 0, better or (b - a) * sign > 0
        texts.append(f"{name} {a:.6g} -> {b:.6g}")
    word = "WORSE" if worse else "BETTER" if better else "SAME"
    return new.model_copy(update={"verdict": word, "detail": ", ".join(texts), "required": True, "causes": []})


def _verdicts(old: TensorResult, new: TensorResult) -> tuple[bool, bool, list[str]]:
    """(worse, better, in words)."""
    if old.verdict == new.verdict:
        return False, False, []
    a, b = (ORDER.index(t.verdict) if t.verdict in ORDER else len(ORDER) for t in (old, new))
    return b > a, b < a, [f"{old.verdict} -> {new.verdict}"]


def _number(value: Any) -> float | None:
    return None if value is None else float(str(value).replace("Infinity", "inf"))
