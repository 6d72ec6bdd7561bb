"""Finds targets by their folder: profile.yaml and lowering.py."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from pydantic import ValidationError

from bittrue.errors import DataError, UsageError
from bittrue.targets.schema import Profile

YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same, ten times as fast, where the library has it


@dataclass(frozen=True)
class Target:
    """A profile and the module with its lowering rules (`INT8`, `FLOAT`: float op -> function)."""

    profile: Profile
    lowering: ModuleType

    @property
    def name(self) -> str:
        return self.profile.name


def _with_inherited(own: dict[str, Any], base: Profile) -> dict[str, Any]:
    """The float ops of another profile and some of its rules, all of them as assumed: nothing of this target was
    compared. Rules get this target's name."""
    note, name = f"as {base.chip}, not compared", own["name"]
    rules = {
        f"{name}.{rule}": {**base.rules[f"{base.name}.{rule}"].model_dump(), "evidence": "assumed", "note": note}
        for rule in own["inherits"]["rules"]
    }
    ops = {
        op: {"float": {"runs_as": support["float"].runs_as, "evidence": "assumed", "note": note}}
        for op, support in base.ops.items()
        if "float" in support
    }
    return {**own, "rules": rules | own.get("rules", {}), "ops": ops | own.get("ops", {})}


@cache
def _read(folder: Path) -> Profile:
    try:
        own = yaml.load((folder / "profile.yaml").read_text(), YAML)
        if "inherits" in own:
            own = _with_inherited(own, _read(folder.parent / own["inherits"]["target"]))
        return Profile.model_validate(own)
    except (ValidationError, yaml.YAMLError) as e:
        raise DataError(f"{folder / 'profile.yaml'}: {e}") from e


def list_targets() -> list[Profile]:
    """All profiles, by name."""
    root = Path(__file__).parent
    return [_read(p.parent) for p in sorted(root.glob("*/profile.yaml"))]


def load_target(name: str) -> Target:
    """The target of a name or alias, in any case. Raises UsageError for unknown targets."""
    wanted = name.lower()
    for profile in list_targets():
        if wanted in (profile.name, *profile.aliases):
            return Target(profile, import_module(f"bittrue.targets.{profile.name}.lowering"))
    raise UsageError(f"no target '{name}'; known: {', '.join(p.name for p in list_targets())}")
