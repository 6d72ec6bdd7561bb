"""Limits that a measured value must keep, each with a sentence."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

# words of a bound -> whether a value keeps it
KEEPS: dict[str, Callable[[float, float], bool]] = {"at least": operator.ge, "at most": operator.le}


@dataclass(frozen=True)
class Limit:
    """what: the measured value in words. bound: "at least" or "at most" `limit`. A value that is not there keeps no
    limit."""

    what: str
    value: float | None
    bound: str
    limit: float

    @property
    def kept(self) -> bool:
        return self.value is not None and KEEPS[self.bound](self.value, self.limit)

    @property
    def sentence(self) -> str:
        value = "not known" if self.value is None else f"{self.value:.6g}"
        return f"{self.what} {value}, {self.bound} {self.limit:g} allowed{'' if self.kept else ': missed'}"

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "kept": self.kept, "sentence": self.sentence}


def missed(limits: list[Mapping[str, Any]]) -> list[str]:
    """Sentences of the stored limits that were missed."""
    return [str(entry["sentence"]) for entry in limits if not entry["kept"]]
