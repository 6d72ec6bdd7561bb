"""Options of the verbs that read pictures and tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from bittrue.calibrate.data import Preprocess
from bittrue.errors import UsageError


def preprocess_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that say how a picture becomes a tensor."""
    for option in (
        click.option("--layout", type=click.Choice(["NCHW", "NHWC"]), default="NCHW", show_default=True),
        click.option("--channels", type=click.Choice(["RGB", "BGR", "GRAY"]), help="Default: by the model's input."),
        click.option(
            "--scale", "pixel_scale", default="1", show_default=True, help="Factor(s) after the mean: 0.017 or a,b,c."
        ),
        click.option("--mean", default="0", show_default=True, help="Subtracted from pixels 0..255: 127.5 or a,b,c."),
        click.option(
            "--resize",
            type=click.Choice(["stretch", "crop", "letterbox"]),
            default="stretch",
            show_default=True,
            help="How pictures reach the model's size.",
        ),
    ):
        function = option(function)
    return function


def preprocess_from(options: dict[str, Any]) -> Preprocess:
    """The options as a Preprocess. Raises UsageError for lists that are not numbers."""

    def numbers(key: str, text: str) -> list[float]:
        try:
            return [float(v) for v in text.split(",")]
        except ValueError as e:
            raise UsageError(f"--{key} {text}: numbers separated by commas are needed") from e

    return Preprocess(
        mode=options["resize"],
        channels=options["channels"],
        mean=numbers("mean", options["mean"]),
        scale=numbers("scale", options["pixel_scale"]),
        layout=options["layout"],
    )
