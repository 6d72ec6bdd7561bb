"""A user's change of a target's arithmetic (`bittrue-profile/1`, YAML): attributes of quantized nodes, by op.

Written by `bittrue explain --write-profile` from proven causes, accepted by other verbs with `--profile`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from bittrue.containers.bmodel import write_atomic
from bittrue.documents import read_document
from bittrue.errors import UsageError
from bittrue.graph.ir import Graph, Node
from bittrue.targets.loader import load_target
from bittrue.targets.requantization import completed

SCHEMA = "bittrue-profile/1"
EVIDENCE = "user"  # evidence label of nodes whose arithmetic a user's profile changed


class OverrideRule(BaseModel):
    """Nodes of `op` ("*": of any op) whose attributes equal `when` get the attributes `set`. A `requant` without
    parameters keeps the node's own factor in the new form.

    layers: only these, by name; None: all. The other fields say where the rule is from.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    op: str
    when: dict[str, Any] = {}
    set: dict[str, Any]
    layers: list[str] | None = None
    cls: str = Field("", alias="class")
    label: str = ""
    text: str = ""

    def matches(self, node: Node) -> bool:
        """Whether the rule is for this node."""
        chosen = self.layers is None or node.name in self.layers
        return chosen and self.op in ("*", node.op) and all(node.attrs.get(k) == v for k, v in self.when.items())


class Override(BaseModel):
    """target: the profile it changes. evidence: what the rules were learned from."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    schema_: Literal["bittrue-profile/1"] = Field("bittrue-profile/1", alias="schema")
    target: str
    evidence: str = "user dump"
    rules: list[OverrideRule]

    def apply(self, graph: Graph) -> int:
        """Changes the nodes of a graph; returns how many. A node takes every rule that matches its old attributes."""
        changed = 0
        for node in graph.nodes:
            found = [r for r in self.rules if r.matches(node)]
            for rule in found:
                node.attrs = {**node.attrs, **completed(node.attrs, rule.set), "evidence": EVIDENCE}
            changed += bool(found)
        return changed

    def write(self, path: Path) -> None:
        """Writes YAML."""
        content = self.model_dump(by_alias=True, mode="json")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, yaml.safe_dump(content, sort_keys=False).encode())


def load_override(path: Path | str, target: str | None = None) -> Override:
    """A profile file. Raises DataError for unreadable files, UsageError for other content and for another target."""
    path = Path(path)
    override = read_document(path, SCHEMA, Override, "profile")
    if target is not None and override.target != target:
        raise UsageError(f"{path}: a profile for target {override.target}, the model is for {target}")
    return override


def arithmetic_settings(texts: Iterable[str]) -> dict[str, str]:
    """`rule=value` texts as a mapping. Raises UsageError."""
    settings = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not key or not separator or not value:
            raise UsageError(f"--arith {text}: expected RULE=VALUE, as `bittrue targets show` lists them")
        settings[key] = value
    return settings


def setting_rules(target: str, settings: Mapping[str, str]) -> list[OverrideRule]:
    """Named rules of a target set to other choices, as changes of nodes.

    Raises UsageError for rules the target does not have or that cannot be switched, and for unknown choices.
    """
    profile = load_target(target).profile
    changes = []
    for key, value in settings.items():
        if key not in profile.rules:
            raise UsageError(f"target {profile.name} has no rule '{key}'; it has {', '.join(profile.rules)}")
        rule = profile.rules[key]
        if not rule.sets:
            raise UsageError(f"rule {key} cannot be switched; it is {rule.value}")
        choice = next((c for c in rule.choices if str(c) == value), None)
        if choice is None:
            raise UsageError(f"rule {key} cannot be '{value}'; choices: {', '.join(map(str, rule.choices))}")
        old, new = rule.attribute_value(rule.value), rule.attribute_value(choice)
        for place in rule.sets if old != new else ():
            changes += [
                OverrideRule(op=op, when={place.attribute: old}, set={place.attribute: new}, text=f"{key}={value}")
                for op in place.ops
            ]
    return changes


def change_arithmetic(
    graph: Graph, target: str, profile: Path | str | None = None, settings: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Changes a graph by a profile file, then by named rules; returns what a result stores about it, {} for no change.

    Raises what `load_override` and `setting_rules` raise.
    """
    record: dict[str, Any] = {}
    changed = 0
    if profile is not None:
        changed += load_override(profile, target).apply(graph)
        digest = hashlib.sha256(Path(profile).read_bytes()).hexdigest()
        record |= {"user_profile": Path(profile).name, "user_profile_sha256": digest}
    if settings:
        changed += Override(target=target, rules=setting_rules(target, settings)).apply(graph)
        record["arith"] = ", ".join(f"{k}={v}" for k, v in settings.items())
    return {**record, "changed_layers": changed} if record else {}
