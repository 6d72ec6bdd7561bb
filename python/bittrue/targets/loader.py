"""Finds targets by their folder: profile.yaml and lowering.py."""

from __future__ import annotations

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


def load_target(name: str) -> Target:
    """The target of a name or alias, in any case. Raises UsageError for unknown targets."""
    wanted = name.lower()
    for profile in list_targets():
        if wanted in (profile.name, *profile.aliases):
            return Target(profile, import_module(f"bittrue.targets.{profile.name}.lowering"))
    raise UsageError(f"no target '{name}'; known: {', '.join(p.name for p in list_targets())}")
