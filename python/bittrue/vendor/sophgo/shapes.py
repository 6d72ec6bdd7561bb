"""Shapes as the vendor's command lines spell them.

shapes = group {[","|";"|":"] group}
group  = "[" (shapes | dims) "]" | "(" (shapes | dims) ")" | dims
dims   = dim {"," dim} | dim {"x" dim}          dim = positive integer | -1
"""

from __future__ import annotations

import re

from bittrue.errors import UsageError

Shape = tuple[int, ...]
TOKEN = re.compile(r"\s*(-?\d+|[\[\](),;:xX]|$)")
CLOSES = {"[": "]", "(": ")"}


def parse_shapes(text: str) -> list[Shape]:
    """The shapes of a text in order, without their nesting. Raises UsageError that says what is wrong at which place
    (counted from 1)."""
    reader = _Reader(text)
    shapes = reader.shapes("")
    if not shapes:
        raise UsageError("no shape")
    return shapes


class _Reader:
    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, int]] = []
        place = 0
        while True:
            found = TOKEN.match(text, place)
            if not found:
                blanks = len(text[place:]) - len(text[place:].lstrip())
                raise UsageError(f"'{text[place + blanks]}' at place {place + blanks + 1}: no number, sign or bracket")
            self.tokens.append((found[1].lower(), found.start(1) + 1))
            if not found[1]:
                break
            place = found.end()

    @property
    def next(self) -> str:
        return self.tokens[0][0]

    def take(self) -> tuple[str, int]:
        return self.tokens.pop(0)

    def shapes(self, closing: str) -> list[Shape]:
        """Groups up to a closing bracket, or to the end."""
        result: list[Shape] = []
        while self.next != closing:
            token, place = self.tokens[0]
            if token in CLOSES:
                self.take()
                result += self.shapes(CLOSES[token])
                if self.next != CLOSES[token]:
                    raise UsageError(f"the bracket at place {place} is not closed")
                self.take()
            elif _is_number(token):
                result.append(self.dims())
            elif not token:
                break
            else:
                raise UsageError(f"'{token}' at place {place} is not expected")
            if self.next and self.next in ",;:":
                self.take()
        return result

    def dims(self) -> Shape:
        dims = [self.dim()]
        separator = self.next
        while self.next in (",", "x") and self.next == separator and _is_number(self.tokens[1][0]):
            self.take()
            dims.append(self.dim())
        return tuple(dims)

    def dim(self) -> int:
        token, place = self.take()
        if int(token) < 1 and token != "-1":
            raise UsageError(f"dimension {token} at place {place}: a positive number or -1 is needed")
        return int(token)


def _is_number(token: str) -> bool:
    return token.lstrip("-").isdigit()
