"""What a target's profile.yaml holds."""

from __future__ import annotations

import hashlib
from typing import Literal

from pydantic import BaseModel, ConfigDict

Evidence = Literal["measured", "documented", "source", "assumed"]


class Sets(BaseModel):
    """The attribute of quantized nodes that spells a rule; nodes of `ops` that have it."""

    model_config = ConfigDict(extra="forbid")
    ops: list[str]
    attribute: str


class Rule(BaseModel):
    """One named arithmetic rule, how it is known, and what it may be set to.

    sets: where the rule is spelled in a quantized graph; a rule without it is a fact that cannot be switched.
    attribute_values: what a choice is called there, if not by its own name.
    """

    model_config = ConfigDict(extra="forbid")
    value: str | int | float
    choices: list[str | int | float] = []
    evidence: Evidence
    note: str = ""
    sets: list[Sets] = []
    attribute_values: dict[str, str | int] = {}

    def attribute_value(self, choice: str | int | float) -> str | int | float:
        """A choice as nodes spell it."""
        return self.attribute_values.get(str(choice), choice)


class OpSupport(BaseModel):
    """How a float op runs at one precision."""

    model_config = ConfigDict(extra="forbid")
    runs_as: str
    evidence: Evidence
    note: str = ""


class Inherited(BaseModel):
    """The float ops of another target, and those of its rules that are named (without its name). Their evidence becomes
    "assumed"."""

    model_config = ConfigDict(extra="forbid")
    target: str
    rules: list[str]


class Profile(BaseModel):
    """A target: facts as data. Lowering rules are Python beside it.

    inherits: what the loader filled in from another target.
    """

    model_config = ConfigDict(extra="forbid")
    name: str
    aliases: list[str] = []
    chip: str
    description: str
    precisions: list[str]
    rules: dict[str, Rule]
    propagation: list[str] = []
    inherits: Inherited | None = None
    ops: dict[str, dict[str, OpSupport]]

    @property
    def sha256(self) -> str:
        """Of all facts."""
        return hashlib.sha256(self.model_dump_json(exclude={"inherits"}).encode()).hexdigest()

    def rule(self, name: str) -> str | int | float:
        """Value of a rule."""
        return self.rules[name].value
