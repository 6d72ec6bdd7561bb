"""Where a result comes from: hashes, versions, settings and environment, for the HTML page and JUnit properties."""

from __future__ import annotations

from typing import Any, NamedTuple

PARTS = ("model", "target", "policy", "tool", "environment", "sources")
SHOWN_ELSEWHERE = {("target", "evidence"), ("policy", "rules")}


class Fact(NamedTuple):
    """One line: `part` of the result, what it is, and its value."""

    part: str
    name: str
    value: str

    @property
    def is_hash(self) -> bool:
        return "sha256" in self.name


def provenance(result: dict[str, Any]) -> list[Fact]:
    """Every fact of the model, target, policy, tool, environment and sources, and the hashes of the inputs."""
    facts = []
    for part in PARTS:
        for key, value in (result.get(part) or {}).items():
            if (part, key) not in SHOWN_ELSEWHERE and value not in (None, "", {}, []):
                facts.append(Fact(part, str(key), _text(value)))
    for i in result.get("inputs") or []:
        if i.get("sha256"):
            facts.append(Fact("inputs", f"{i.get('name') or 'input'} sha256", str(i["sha256"])))
    return facts


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_text(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return str(value)
