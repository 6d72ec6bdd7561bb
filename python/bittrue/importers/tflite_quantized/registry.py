"""Which function imports which TFLite operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bittrue.importers.tflite_quantized.reader import Importer

Rule = Callable[[Importer, Any], None]
RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Registers a rule; it adds the nodes of one operator, or raises UnsupportedError before adding any output."""

    def register(function: Rule) -> Rule:
        for name in names:
            RULES[name] = function
        return function

    return register
