"""The argument syntax that the vendor's tools share: one or two dashes, `-k=v` or `-k v`, `-k` and `-nok` for booleans,
lists with or without brackets, brackets that the shell split, positional words at any place."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bittrue.errors import UsageError
from bittrue.spelling import nearest
from bittrue.vendor.sophgo.shapes import parse_shapes

Kind = Literal["text", "path", "int", "float", "bool", "names", "shapes"]
TRUE, FALSE = ("true", "t", "1", "yes", "y"), ("false", "f", "0", "no", "n")
OPENING, CLOSING = "[(", "])"
HELP = ("help", "h")


@dataclass(frozen=True)
class Option:
    """One option of a tool. choices: allowed words, compared without case and given back as listed. aliases: other
    names of it. required: the tool does not run without it. alone: set, necessary options are not asked for."""

    name: str
    kind: Kind
    help: str
    default: Any = None
    required: bool = False
    choices: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    alone: bool = False


@dataclass
class Parsed:
    """values: every option, given or by default. given: names of those on the command line. words: positional ones."""

    values: dict[str, Any]
    given: set[str] = field(default_factory=set)
    words: list[str] = field(default_factory=list)
    help: bool = False

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


def warn_on_stderr(message: str) -> None:
    """How tools give remarks."""
    print(f"warning: {message}", file=sys.stderr)


@dataclass(frozen=True)
class Tool:
    """A command line of the vendor's. words: names of its positional words, `name..` takes any number."""

    name: str
    summary: str
    options: tuple[Option, ...]
    example: str
    words: tuple[str, ...] = ()

    def usage(self) -> str:
        """The text of --help."""
        lines = [f"Usage: {' '.join([self.name, *self.words, '[options]'])}", "", f"  {self.summary}", ""]
        names = {o.name: "/".join([f"--{o.name}", *o.aliases]) for o in self.options}
        width = max(map(len, names.values()), default=0)
        for o in self.options:
            facts = [f"one of {', '.join(o.choices)}"] if o.choices else []
            if o.required:
                facts.append("necessary")
            elif o.default not in (None, "", (), []):
                facts.append(f"default {str(o.default).lower() if o.kind == 'bool' else o.default}")
            lines.append(f"  {names[o.name]:<{width}}  {o.help}" + (f" ({'; '.join(facts)})" if facts else ""))
        return "\n".join([*lines, "", f"Example: {self.example}"])

    def parse(self, arguments: Sequence[str], warn: Callable[[str], None] = warn_on_stderr) -> Parsed:
        """The values of a command line. Raises UsageError that names the option and what it may be; necessary options
        are not asked for when help is."""
        parsed = Parsed({o.name: o.default for o in self.options})
        byname = {n: o for o in self.options for n in (o.name, *o.aliases)}
        rest = _join_brackets(arguments)
        while rest:
            word = rest.pop(0)
            if not _is_option(word):
                parsed.words.append(word)
                continue
            name, equals, value = word.lstrip("-").partition("=")
            if name in HELP and name not in byname:
                parsed.help = True
                continue
            option, negated = self._find(name, byname)
            if option.name in parsed.given:
                warn(f"{self.name}: --{option.name} is given twice; the last one counts")
            parsed.given.add(option.name)
            if option.kind == "bool" and not equals:
                spelled = bool(rest) and not negated and rest[0].lower() in TRUE + FALSE
                value = rest.pop(0) if spelled else str(not negated)
            elif option.kind != "bool" and not value and rest and _is_value(rest[0], option, byname):
                if equals:
                    warn(f"{self.name}: --{option.name}= {rest[0]}: a blank after the sign, taken as its value")
                value = rest.pop(0)
            elif not equals:
                raise UsageError(f"{self.name}: --{option.name} needs a value: {option.help}")
            parsed.values[option.name] = self._value(option, value)
        self._check(parsed)
        return parsed

    def run(self, arguments: Sequence[str], action: Callable[[Parsed], int | None]) -> int:
        """Parses a command line and calls the action, or prints the help; returns the exit code."""
        parsed = self.parse(arguments)
        if parsed.help:
            print(self.usage())
            return 0
        return action(parsed) or 0

    def _find(self, name: str, byname: dict[str, Option]) -> tuple[Option, bool]:
        """The option of a name, and whether the name negates it."""
        if name in byname:
            return byname[name], False
        positive = byname.get(name.removeprefix("no"))
        if name.startswith("no") and positive and positive.kind == "bool":
            return positive, True
        raise UsageError(f"{self.name}: no option '{name}'{nearest(name, byname)}")

    def _value(self, option: Option, text: str) -> Any:
        where = f"{self.name}: --{option.name}={text}"
        if option.choices:
            found = next((c for c in option.choices if c.lower() == text.lower()), None)
            if found is None:
                raise UsageError(f"{where}: one of {', '.join(option.choices)} is needed")
            return int(found) if option.kind == "int" else found
        match option.kind:
            case "bool":
                if text.lower() not in TRUE + FALSE:
                    raise UsageError(f"{where}: true or false is needed")
                return text.lower() in TRUE
            case "int" | "float":
                try:
                    return int(text) if option.kind == "int" else float(text)
                except ValueError:
                    raise UsageError(
                        f"{where}: {'an integer' if option.kind == 'int' else 'a number'} is needed"
                    ) from None
            case "names":
                return parse_names(text)
            case "shapes":
                try:
                    return parse_shapes(text)
                except UsageError as e:
                    raise UsageError(f"{where}: {e}") from None
        return text

    def _check(self, parsed: Parsed) -> None:
        if parsed.help:
            return
        if len(parsed.words) > len(self.words) and not (self.words and self.words[-1].endswith("..")):
            raise UsageError(f"{self.name}: '{parsed.words[len(self.words)]}' is no option and no value of one")
        if any(o.alone and parsed.values[o.name] for o in self.options):
            return
        if missing := [f"--{o.name}" for o in self.options if o.required and o.name not in parsed.given]:
            raise UsageError(f"{self.name}: {', '.join(missing)} is necessary; `{self.name} --help` lists the options")


def _is_option(word: str) -> bool:
    """Whether a word starts an option: dashes and a letter, so that -1 is a value."""
    name = word.lstrip("-")
    return word.startswith("-") and (name[:1].isalpha() or name[:1] == "_")


def _is_value(word: str, option: Option, byname: Mapping[str, Option]) -> bool:
    """Whether a word can be the value of an option: texts may be options of another tool."""
    name = word.lstrip("-").partition("=")[0]
    known = name in byname or name.removeprefix("no") in byname
    return not _is_option(word) or (option.kind == "text" and not option.choices and not known)


def _open_brackets(text: str) -> int:
    return sum(text.count(c) for c in OPENING) - sum(text.count(c) for c in CLOSING)


def _join_brackets(arguments: Sequence[str]) -> list[str]:
    """Words whose brackets balance: those that the shell split at blanks are joined again. A bracket that no later word
    closes is left as it is; whoever reads the value says what is wrong with it."""
    joined: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        bracket = next((i for i, c in enumerate(word) if c in OPENING), None)
        # a value opens with its bracket; elsewhere brackets are parts of names
        if bracket is not None and word[:bracket].rpartition("=")[2].strip() == "":
            for used in range(len(rest) + 1):
                candidate = " ".join([word, *rest[:used]])
                more = candidate.endswith(",") and used < len(rest) and rest[used].startswith(tuple(OPENING))
                if _open_brackets(candidate) == 0 and not more:
                    word, rest = candidate, rest[used:]
                    break
                if used < len(rest) and _is_option(rest[used]):
                    break
        joined.append(word)
    return joined


def parse_names(text: str) -> list[str]:
    """`a,b`, `[a, b]`, `['a','b']` to names; an empty text is an empty list."""
    inner = text.strip()
    if inner[:1] == "[" and inner[-1:] == "]":
        inner = inner[1:-1]
    return [name for part in inner.split(",") if (name := part.strip().strip("'\""))]
