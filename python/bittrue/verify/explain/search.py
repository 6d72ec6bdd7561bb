"""Tries hypotheses on one layer until the list or the time is used up.

A cause is never invented: PROVEN means that one change makes every element equal, SUPPORTED that a pattern or a change
fits a share of them, UNKNOWN that nothing does.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations

import numpy as np

from bittrue.report.result import Cause
from bittrue.verify.explain.case import Array, Hypothesis, LayerCase
from bittrue.verify.explain.data import data_changes
from bittrue.verify.explain.fits import fitted_changes
from bittrue.verify.explain.floats import float_changes
from bittrue.verify.explain.operands import operand_changes
from bittrue.verify.explain.patterns import patterns
from bittrue.verify.explain.rules import rule_changes
from bittrue.verify.explain.values import storage_changes, value_changes
from bittrue.verify.metrics import bad_elements

ELEMENTS_PER_PARAMETER = 8  # a fitted number proves nothing on fewer elements
PAIRED = 8  # best single changes that are tried in pairs
WORTH_NAMING = 0.5  # share of the differing elements a change must mend to be listed without proof


@dataclass
class Budget:
    """Time and number of simulations."""

    seconds: float = 30.0
    tried: int = 0
    exhausted: bool = False

    def __post_init__(self) -> None:
        self._end = time.monotonic() + self.seconds

    def take(self) -> bool:
        """Whether one more simulation is allowed."""
        if time.monotonic() > self._end:
            self.exhausted = True
            return False
        self.tried += 1
        return True


def hypotheses(case: LayerCase) -> Iterator[Hypothesis]:
    """All of them, the most specific first."""
    return chain(
        storage_changes(case),
        operand_changes(case),
        rule_changes(case),
        data_changes(case),
        fitted_changes(case) if case.integer else float_changes(case),
        value_changes(case),
    )


def explain_layer(case: LayerCase, budget: Budget | None = None, second: LayerCase | None = None) -> list[Cause]:
    """Causes of a differing layer, proven ones first; never empty for a layer that differs.

    second: the same layer on another sample. A change that also makes that one equal is kept, one that does not is not.
    """
    budget = budget or Budget()
    total = int(case.bad.sum())
    if not total:
        return []
    if case.simulated.ndim == 0:
        return [Cause(cls="UNKNOWN", status="UNKNOWN", sentence="UNKNOWN: a single value cannot tell rules apart")]
    proven: list[Cause] = []
    partial: list[tuple[float, Hypothesis]] = []
    for hypothesis in hypotheses(case):
        if not budget.take():
            break
        mended = share_mended(case, hypothesis.result, total)
        if mended == 1.0 and enough_elements(case, hypothesis):
            proven.append(proven_cause(case, hypothesis))
        elif mended > 0:
            partial.append((mended, replace(hypothesis, result=None)))
    partial.sort(key=lambda p: -p[0])
    if not proven:
        proven += _pairs(case, partial, total, budget)
    if proven and second is not None:
        proven = _confirmed(proven, second)
    if proven:
        return _distinct(proven)
    return _supported(case, partial, budget)


def _confirmed(proven: list[Cause], second: LayerCase) -> list[Cause]:
    """Those that make another sample equal as well."""
    total = int(second.bad.sum())
    equal = {(h.cls, h.text) for h in hypotheses(second) if h.result is not None and not _left(second, h.result)}
    if not total:
        equal |= {(c.cls, c.hypothesis) for c in proven if c.change and not _left(second, second.run(c.change))}
    confirmed = [c for c in proven if (c.cls, c.hypothesis) in equal]
    for cause in confirmed:
        cause.sentence += f", and all {second.observed.size:,} of the second sample"
    return confirmed


def _left(case: LayerCase, result: Array | None) -> bool:
    """Whether a changed result still differs from what was observed."""
    if result is None or result.shape != case.observed.shape or result.dtype != case.observed.dtype:
        return True
    return bool(bad_elements(result, case.observed).any())


def share_mended(case: LayerCase, result: Array | None, total: int) -> float:
    """Share of the differing elements that a change makes equal, minus those it breaks; 1 only if all are equal."""
    if result is None or result.shape != case.observed.shape or result.dtype != case.observed.dtype:
        return 0.0
    left = int(bad_elements(result, case.observed).sum())
    return (total - left) / total


def enough_elements(case: LayerCase, hypothesis: Hypothesis) -> bool:
    """Whether the fitted numbers of a change are few for the elements they were fitted to."""
    if not hypothesis.free_parameters:
        return True
    elements = (
        int(case.bad.sum())
        if hypothesis.cls in ("PER_CHANNEL", "LUT", "BIAS") or hypothesis.label == "PER_CHANNEL"
        else case.bad.size
    )
    least = 2 if hypothesis.cls == "LUT" else ELEMENTS_PER_PARAMETER
    return elements >= least * hypothesis.free_parameters


def proven_cause(case: LayerCase, hypothesis: Hypothesis) -> Cause:
    """The cause of a change that makes all elements equal."""
    n = case.observed.size
    return Cause(
        cls=hypothesis.cls,
        label=hypothesis.label,
        status="PROVEN",
        hypothesis=hypothesis.text,
        explained=1.0,
        elements=n,
        change=hypothesis.change,
        sentence=proven_sentence(hypothesis.text, n),
    )


def proven_sentence(hypothesis: str, elements: int, others: Sequence[str] = ()) -> str:
    """others: changes that these values do not tell apart from this one."""
    sentence = f"PROVEN: {hypothesis}; with that all {elements:,} elements are equal"
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        sentence += f" (indistinguishable on these values: {'; '.join(others[:3])}{more})"
    return sentence


def _distinct(causes: list[Cause]) -> list[Cause]:
    """Without repetitions; the first says which others cannot be told apart from it."""
    unique = list({c.hypothesis: c for c in causes}.values())
    confirmed = unique[0].sentence.partition(" elements are equal")[2]
    unique[0].sentence = proven_sentence(unique[0].hypothesis, unique[0].elements, [c.hypothesis for c in unique[1:]])
    unique[0].sentence = unique[0].sentence.replace(" elements are equal", f" elements are equal{confirmed}", 1)
    return unique


def _pairs(case: LayerCase, partial: list[tuple[float, Hypothesis]], total: int, budget: Budget) -> list[Cause]:
    """Two rules changed together, of those that mend most alone."""
    best = [h for _, h in partial if h.change][:PAIRED]
    found = []
    for a, b in combinations(best, 2):
        if set(a.change) & set(b.change):
            continue
        if not budget.take():
            break
        both = {**a.change, **b.change}
        if share_mended(case, case.run(both), total) == 1.0:
            text = f"{a.text}, and {b.text}"
            found.append(proven_cause(case, Hypothesis(a.cls, a.label, text, None, both)))
    return found


def _supported(case: LayerCase, partial: list[tuple[float, Hypothesis]], budget: Budget) -> list[Cause]:
    causes = [
        Cause(
            cls=p.cls,
            label=p.label,
            status="SUPPORTED",
            hypothesis=p.text,
            explained=p.explained,
            elements=int(case.bad.sum()),
            sentence=f"looks like {p.cls}: {p.text}",
        )
        for p in patterns(case)
    ]
    for mended, hypothesis in partial[:3]:
        if mended >= WORTH_NAMING:
            text = f"{hypothesis.text} mends {100 * mended:.2f} % of the differing elements, not all"
            causes.append(
                Cause(
                    cls=hypothesis.cls,
                    label=hypothesis.label,
                    status="SUPPORTED",
                    hypothesis=hypothesis.text,
                    explained=mended,
                    elements=int(case.bad.sum()),
                    sentence=text,
                )
            )
    tried = f"none of {budget.tried} single changes makes it equal"
    if budget.exhausted:
        tried += f" (stopped after {budget.seconds:g} s)"
    if not causes:
        d = case.difference[case.bad]
        finite = d[np.isfinite(d)] if not case.integer else d
        spread = f", differences {finite.min():g} to {finite.max():g}" if finite.size else ""
        causes.append(Cause(cls="UNKNOWN", status="UNKNOWN", sentence=f"UNKNOWN: {tried}{spread}"))
    else:
        causes[0].sentence += f" ({tried})"
    return causes
