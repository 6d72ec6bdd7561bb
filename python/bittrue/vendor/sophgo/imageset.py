"""What the two tools that make LMDB folders of pictures share."""

from __future__ import annotations

from bittrue.containers.picture import NOTE, opencv
from bittrue.errors import UsageError
from bittrue.vendor.sophgo.arguments import Option, Parsed, warn_on_stderr

TARGET = (
    Option("force", "bool", "replace an LMDB that is there", False),
    Option("append", "bool", "add to an LMDB that is there", False),
)


def target_size(tool: str, options: Parsed) -> tuple[int, int]:
    """(height, width) to resize to; 0 keeps a side. Raises UsageError for negative numbers."""
    for name in ("resize_height", "resize_width"):
        if options[name] < 0:
            raise UsageError(f"{tool}: --{name}={options[name]}: a positive number, or 0, is needed")
    return options["resize_height"], options["resize_width"]


def note_resizing(size: tuple[int, int]) -> None:
    """Says on stderr that resizing is not OpenCV's, where it is not."""
    if any(size) and opencv() is None:
        warn_on_stderr(NOTE)
