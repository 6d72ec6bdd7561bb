"""What a layer looks like in the graphics: one state of each tensor, its colours and its meaning."""

from __future__ import annotations

from typing import Any, NamedTuple

from bittrue.verify.verdict import PASSING


class State(NamedTuple):
    """fill, line: colours of its box. text: of words on it."""

    label: str
    meaning: str
    fill: str
    line: str
    text: str = "#1b2430"


# From the worst to the best: where two tensors share a box, the first of their states is shown.
STATES = {
    "born": State("born here", "wrong on the reference's own inputs", "#c3261d", "#8d150e", "#ffffff"),
    "both": State("born and inherited", "wrong by itself, and its inputs differ", "#8f1d5c", "#611240", "#ffffff"),
    "unresolved": State("unresolved", "wrong in one of several layers", "#7a52a8", "#573786", "#ffffff"),
    "failed": State("differs", "differs; not simulated alone", "#d9534a", "#a63029", "#ffffff"),
    "missing": State("not comparable", "missing, or of another shape or type", "#5d6878", "#3e4855", "#ffffff"),
    "inherited": State("inherited", "right by itself, its inputs differ", "#f5b461", "#b9741a"),
    "optional": State("not required", "differs, and the policy does not require it", "#efe3c2", "#b59b52"),
    "masked": State("masked", "equal although an input differs", "#bcd8ef", "#4a86b8"),
    "within": State("tolerated", "inside a limit of the policy", "#d3e8b5", "#7ba043"),
    "equal": State("equal", "bit-equal", "#cfe9da", "#55a37b"),
    "same": State("same", "as in the earlier result", "#e4ebe7", "#8fa89b"),
    "better": State("better", "less wrong than in the earlier result", "#d6ecf3", "#4f98ad"),
    "extra": State("extra", "the reference does not have it", "#eef1f5", "#9aa4b1"),
    "unknown": State("not compared", "no verdict", "#ffffff", "#b4bcc7"),
}
ORDER = list(STATES)
ORIGINS = {"BORN_HERE": "born", "BOTH": "both", "UNRESOLVED": "unresolved", "INHERITED": "inherited"}
VERDICTS = {
    "EQUAL": "equal",
    "WITHIN": "within",
    "SIMILAR": "within",
    "EXTRA": "extra",
    "SAME": "same",
    "BETTER": "better",
}


def state_of(t: dict[str, Any]) -> str:
    """Key of STATES for a stored tensor."""
    verdict = t.get("verdict")
    if verdict in PASSING:
        return "masked" if t.get("origin") == "MASKED" else VERDICTS[str(verdict)]
    if t.get("required") is False:
        return "optional"
    if not t.get("n"):
        return "missing" if verdict else "unknown"
    return ORIGINS.get(str(t.get("origin")), "failed")
