"""Where a picture lies on the input of a network, and the way back from there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Placement:
    """A picture of `picture` pixels, scaled to `size`, with its upper left corner at (left, top) of an input of
    `canvas` pixels. All sizes are (width, height); a negative corner means that the picture is cropped."""

    picture: tuple[int, int]
    canvas: tuple[int, int]
    size: tuple[int, int]
    left: int = 0
    top: int = 0

    def to_picture(self, points: Array) -> Array:
        """Points (.., 2), fractions (x, y) of the input, in pixels of the picture."""
        on_input = np.asarray(points, np.float64) * self.canvas
        result: Array = (on_input - (self.left, self.top)) * (np.asarray(self.picture) / self.size)
        return result


def place(picture: tuple[int, int], canvas: tuple[int, int], mode: str) -> Placement:
    """mode: "stretch" to the input; or keep the ratio of the sides and "crop" what is over, or "letterbox"."""
    if mode == "stretch":
        return Placement(picture, canvas, canvas)
    pick = max if mode == "crop" else min
    factor = pick(canvas[0] / picture[0], canvas[1] / picture[1])
    size = (max(1, round(picture[0] * factor)), max(1, round(picture[1] * factor)))
    return Placement(picture, canvas, size, (canvas[0] - size[0]) // 2, (canvas[1] - size[1]) // 2)
