"""Limits on the task's result: a drop of top-1 that matters, and one that the samples cannot show."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bittrue.audit.audit import AuditResult
from bittrue.errors import DataError


@dataclass(frozen=True)
class TaskVerdict:
    """A top-1 drop (float less quantized) against its limit.

    verdict: "within" the limit; "missed": above the limit and significant; "not significant": above the limit, but so
    few samples flipped that McNemar's test cannot tell it from chance.
    """

    top1_drop: float
    top1_drop_max: float
    significance: float
    mcnemar_p: float
    verdict: str

    @property
    def missed(self) -> bool:
        return self.verdict == "missed"

    @property
    def sentence(self) -> str:
        numbers = f"top-1 drop {self.top1_drop:.4f}, limit {self.top1_drop_max:g}, McNemar p = {self.mcnemar_p:.3g}"
        words = {
            "within": "within the limit",
            "missed": f"above the limit, significant at {self.significance:g}",
            "not significant": f"above the limit, but not significant at {self.significance:g}: more samples needed",
        }
        return f"{numbers}: {words[self.verdict]}"

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "sentence": self.sentence}


def judge_task(result: AuditResult, top1_drop_max: float, significance: float) -> TaskVerdict:
    """Raises DataError without labels."""
    if not result.labelled or result.mcnemar_p is None:
        raise DataError("a limit on the top-1 drop needs labelled data (array 'label' in the .npz)")
    # Counts, so that equal rates give exactly zero.
    drop = (result.lost - result.gained) / result.labelled
    verdict = "within"
    if drop > top1_drop_max:
        verdict = "missed" if result.mcnemar_p < significance else "not significant"
    return TaskVerdict(drop, top1_drop_max, significance, result.mcnemar_p, verdict)
