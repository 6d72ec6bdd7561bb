"""Comparison of two things of any kinds that can be compared: a table of kinds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

from bittrue.errors import UsageError
from bittrue.report.result import Result
from bittrue.verify.pairs.archives import compare_archives
from bittrue.verify.pairs.floats import compare_with_float
from bittrue.verify.pairs.kinds import KINDS, kind_of
from bittrue.verify.pairs.models import compare_models
from bittrue.verify.pairs.options import CompareOptions
from bittrue.verify.pairs.results import compare_results
from bittrue.verify.policy import Policy
from bittrue.verify.tensors import compare_tensors_by_name

__all__ = ["CompareOptions", "compare", "compare_tensors_by_name"]

# kinds of reference and run -> (comparison, options that it takes besides the policy)
PAIRS: dict[tuple[str, str], tuple[Callable[[Path, Path, CompareOptions], Result], set[str]]] = {
    ("archive", "archive"): (
        compare_archives,
        {"dump", "ref_dump", "model", "io", "allow_other_inputs", "path", "threads"},
    ),
    ("model", "model"): (compare_models, {"inputs", "allow_other_inputs", "path", "threads"}),
    ("float", "model"): (compare_with_float, {"inputs", "path", "threads"}),
    ("result", "result"): (compare_results, {"allow_other_inputs"}),
}
DEFAULTS = CompareOptions()
SPELLINGS = {"dump": "map, --layout and --match-by-values", "ref_dump": "map-ref and --layout-ref", "inputs": "input"}


def compare(
    ref: Path | str, got: Path | str, *, policy: Policy | None = None, options: CompareOptions | None = None
) -> Result:
    """Compares two archives, two compiled models, a float model with a compiled one, or two stored results.

    policy: what may differ; None: nothing, or for a float model the base `audit`. Raises UsageError for other pairs
    and for options of another pair, DataError if nothing could be compared, and what reading either side raises.
    """
    options = options or CompareOptions()
    if policy is not None:
        options = replace(options, policy=policy)
    ref, got = Path(ref), Path(got)
    kinds = kind_of(ref), kind_of(got)
    if kinds not in PAIRS:
        known = "; ".join(f"{KINDS[a]} with {KINDS[b]}" for a, b in PAIRS)
        known += "; a dump with a compiled model: bittrue verify --context_dir MODEL --layer_ref DUMP"
        raise UsageError(f"{ref}: {KINDS[kinds[0]]}, {got}: {KINDS[kinds[1]]}; can be compared: {known}")
    function, taken = PAIRS[kinds]
    for option in fields(CompareOptions):
        if option.name not in ("policy", *taken) and getattr(options, option.name) != getattr(DEFAULTS, option.name):
            spelling = SPELLINGS.get(option.name, option.name.replace("_", "-"))
            raise UsageError(f"{ref}: {KINDS[kinds[0]]}, {got}: {KINDS[kinds[1]]}: --{spelling} is not for these")
    return function(ref, got, options)
