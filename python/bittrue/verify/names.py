"""Which tensor of a dump is which tensor of the model: map files (`bittrue-map/1`, YAML) and layer names.

A map goes from the names, layouts and grids of one dump to those of the model (or of the other side of a comparison).
Nothing is guessed here; what no name leads to stays under its own name and is listed by the comparison.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, field_validator

from bittrue.documents import read_document
from bittrue.errors import DataError, UsageError
from bittrue.verify.layouts import Layout, parse_layout
from bittrue.verify.policy import Strict

SCHEMA = "bittrue-map/1"


class Grid(Strict):
    """Dequantized floats: value = (q - zero_point) * scale."""

    scale: float = Field(gt=0, allow_inf_nan=False)
    zero_point: int = 0


class NamePattern(Strict):
    """Dump names that `from` (a regular expression) matches completely become `to` (with \\1, \\2, ...)."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    from_: str = Field(alias="from")
    to: str

    @field_validator("from_")
    @classmethod
    def _compiles(cls, text: str) -> str:
        try:
            re.compile(text)
        except re.error as e:
            raise ValueError(f"not a regular expression: {e}") from e
        return text

    def apply(self, name: str) -> str | None:
        """The new name, None if the pattern does not match. Raises UsageError for a `to` that does not fit."""
        found = re.fullmatch(self.from_, name)
        if not found:
            return None
        try:
            return found.expand(self.to)
        except (re.error, IndexError) as e:
            raise UsageError(f"patterns: to '{self.to}' does not fit from '{self.from_}': {e}") from e


class LayoutRule(Strict):
    """Layout of the tensors whose dump or model name fits a pattern with * and ?."""

    name: str
    layout: str

    @field_validator("layout")
    @classmethod
    def _known(cls, text: str) -> str:
        try:
            parse_layout(text)
        except UsageError as e:
            raise ValueError(str(e)) from e
        return text


def _grid(value: object) -> object:
    return {"scale": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


class NameMap(Strict):
    """names: dump name -> tensor name; before patterns, of which the first that matches counts. layouts: the last that
    fits counts. scales: pattern of names -> grid of dequantized floats, a number, or `model` for the model's own."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    schema_: Literal["bittrue-map/1"] = Field("bittrue-map/1", alias="schema")
    names: dict[str, str] = Field(default_factory=dict)
    patterns: list[NamePattern] = Field(default_factory=list)
    layouts: list[LayoutRule] = Field(default_factory=list)
    scales: dict[str, Annotated[Grid | Literal["model"], BeforeValidator(_grid)]] = Field(default_factory=dict)

    def layout_of(self, names: Collection[str]) -> Layout | None:
        """Declared layout of a tensor by any of its names."""
        for rule in reversed(self.layouts):
            if _fits(rule.name, names):
                return parse_layout(rule.layout)
        return None

    def declared_layouts(self) -> list[Layout]:
        """Every layout that the map names."""
        return [parse_layout(text) for text in dict.fromkeys(rule.layout for rule in self.layouts)]

    def grid_of(self, names: Collection[str], model_grid: Grid | None) -> Grid | None:
        """Declared grid of a tensor of dequantized floats by any of its names. Raises UsageError for `model` without a
        model that knows it."""
        for pattern, grid in reversed(self.scales.items()):
            if not _fits(pattern, names):
                continue
            if isinstance(grid, Grid):
                return grid
            if model_grid is None and pattern in names:
                raise UsageError(f"scales.{pattern}: the model knows no scale of this tensor")
            return model_grid
        return None


def _fits(pattern: str, names: Collection[str]) -> bool:
    return any(fnmatchcase(n, pattern) for n in names)


def load_map(path: Path | None) -> NameMap:
    """A map file; the empty map for None. Raises DataError for unreadable files, UsageError for unknown keys, bad
    values and names that stand twice."""
    if path is None:
        return NameMap()
    return read_document(path, SCHEMA, NameMap, "name map")


@dataclass
class Names:
    """dump_of: tensor name -> dump name, in the dump's order. notes: what a user should know about it."""

    dump_of: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def resolve(
    name_map: NameMap,
    dump: Iterable[str],
    tensors: Collection[str] | None = None,
    layers: Mapping[str, str] | None = None,
    where: str = "name map",
) -> Names:
    """Tensor names of the tensors of a dump: by the table, by the patterns, as they are, or by a layer's name.

    tensors: the model's; None if there is no model. layers: node name -> its only output. where: names the map in
    messages. Raises UsageError for map entries that nothing uses or that name no tensor of the model, DataError if two
    tensors of the dump get one name.
    """
    layers = layers or {}
    found = Names()
    by_layer: list[str] = []
    unused_patterns = dict.fromkeys(p.from_ for p in name_map.patterns)
    dump = list(dump)
    for name in dump:
        target, declared = name, name in name_map.names
        if declared:
            target = name_map.names[name]
        else:
            for pattern in name_map.patterns:
                if (renamed := pattern.apply(name)) is not None:
                    unused_patterns.pop(pattern.from_, None)
                    target = renamed
                    break
        if tensors is not None and target not in tensors:
            if target in layers:
                by_layer.append(f"{target} -> {layers[target]}")
                target = layers[target]
            elif declared:
                raise UsageError(f"{where}: names.{name}: the model has no tensor or layer '{target}'")
        if target in found.dump_of:
            raise DataError(f"{where}: '{found.dump_of[target]}' and '{name}' are both tensor '{target}'")
        found.dump_of[target] = name
    unused = [f"names.{n}" for n in name_map.names if n not in dump]
    unused += [f"patterns.{p}" for p in unused_patterns]
    known = {*dump, *found.dump_of}
    unused += [f"layouts.{r.name}" for r in name_map.layouts if not any(fnmatchcase(n, r.name) for n in known)]
    unused += [f"scales.{p}" for p in name_map.scales if not any(fnmatchcase(n, p) for n in known)]
    if unused:
        raise UsageError(f"{where}: unused entries, no tensor of the dump fits: {', '.join(unused)}")
    if by_layer:
        found.notes.append(f"layer names taken for the tensors of these layers: {', '.join(by_layer)}")
    return found
