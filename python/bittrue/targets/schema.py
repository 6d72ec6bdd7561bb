"""What a target's profile.yaml holds."""

from __future__ import annotations

import hashlib
from typing import Literal

from pydantic import BaseModel, ConfigDict

Evidence = Literal["measured", "documented", "source", "assumed"]


class Rule(BaseModel):
    """One named arithmetic rule, how it is known, and what it may be set to."""

    model_config = ConfigDict(extra="forbid")
    value: str | int | float
    choices: list[str | int | float] = []
    evidence: Evidence
    note: str = ""


class OpSupport(BaseModel):
    """How a float op runs at one precision."""

    model_config = ConfigDict(extra="forbid")
    runs_as: str
    evidence: Evidence
    note: str = ""


class Profile(BaseModel):
    """A target: facts as data. Lowering rules are Python beside it."""

    model_config = ConfigDict(extra="forbid")
    name: str
    aliases: list[str] = []
    chip: str
    description: str
    precisions: list[str]
    rules: dict[str, Rule]
    propagation: list[str]
    ops: dict[str, dict[str, OpSupport]]

    @property
    def sha256(self) -> str:
        """Of all facts, overrides included."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def rule(self, name: str) -> str | int | float:
        """Value of a rule."""
        return self.rules[name].value
