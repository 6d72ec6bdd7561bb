"""Finds targets by their folder: profile.yaml and lowering.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

import yaml
from pydantic import ValidationError

from bittrue.errors import DataError, UsageError
from bittrue.targets.schema import Profile


@dataclass(frozen=True)
class Target:
    """A profile and the module with its lowering rules (`INT8`, `FLOAT`: float op -> function)."""

    profile: Profile
    lowering: ModuleType

    @property
    def name(self) -> str:
        return self.profile.name


def _read(folder: Path) -> Profile:
    try:
        return Profile.model_validate(yaml.safe_load((folder / "profile.yaml").read_text()))
    except (ValidationError, yaml.YAMLError) as e:
        raise DataError(f"{folder / 'profile.yaml'}: {e}") from e


def list_targets() -> list[Profile]:
    """All profiles, by name."""
    root = Path(__file__).parent
    return [_read(p.parent) for p in sorted(root.glob("*/profile.yaml"))]


def load_target(name: str, overrides: Mapping[str, str] | None = None) -> Target:
    """The target of a name or alias, in any case; `overrides` set named rules.

    Raises UsageError for unknown targets, rules and values.
    """
    wanted = name.lower()
    for profile in list_targets():
        if wanted not in (profile.name, *profile.aliases):
            continue
        for key, value in (overrides or {}).items():
            if key not in profile.rules:
                raise UsageError(f"target {profile.name} has no rule '{key}'; it has {', '.join(profile.rules)}")
            rule = profile.rules[key]
            choice = next((c for c in rule.choices if str(c) == value), None)
            if choice is None:
                raise UsageError(f"rule {key} cannot be '{value}'; choices: {', '.join(map(str, rule.choices))}")
            rule.value, rule.evidence = choice, "assumed"
        return Target(profile, import_module(f"bittrue.targets.{profile.name}.lowering"))
    raise UsageError(f"no target '{name}'; known: {', '.join(p.name for p in list_targets())}")
