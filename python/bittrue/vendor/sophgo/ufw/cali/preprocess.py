"""`--cali_image_preprocess`: steps between semicolons, each `name=value` pairs between commas, channels by colons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bittrue.errors import UsageError
from bittrue.importers.caffe.schema import new_message

TRUE = ("true", "1")
RESIZE, CROP, STAND = 0, 1, 2
INTEGERS = ("resize_side", "resize_h", "resize_w", "crop_h", "crop_w")
NUMBERS = ("crop_fraction", "padding", "div")


@dataclass(frozen=True)
class Steps:
    """parameter: a TransformationParameter with one transform_op for every step. size: (height, width) of the first
    step, if it resizes: pictures are stored so."""

    parameter: Any
    size: tuple[int, int]

    @staticmethod
    def parse(text: str) -> Steps:
        """Raises UsageError that names the step."""
        parameter, size = new_message("TransformationParameter"), (0, 0)
        for position, step in enumerate(s for s in text.split(";") if s.strip()):
            values = _pairs(step)
            if position == 0 and {"resize_h", "resize_w"} <= set(values):
                size = (_number(step, values.pop("resize_h"), int), _number(step, values.pop("resize_w"), int))
                if not values:
                    continue
            _fill(parameter.transform_op.add(), step, values)
        return Steps(parameter, size)


def _pairs(step: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in step.split(",") if part.strip()]
    if not pairs or not all(sign for _, sign, _ in pairs):
        raise UsageError(f"--cali_image_preprocess: '{step.strip()}': name=value pairs are needed")
    return {name.strip(): value.strip() for name, _, value in pairs}


def _fill(op: Any, step: str, values: dict[str, str]) -> None:
    kinds = {RESIZE if n.startswith("resize") else CROP if n.startswith("crop") else STAND for n in values}
    op.op = min(kinds)
    if len(kinds) > 1:
        raise UsageError(f"--cali_image_preprocess: '{step.strip()}' mixes steps; separate them with ;")
    for name, value in values.items():
        if name in INTEGERS:
            setattr(op, name, _number(step, value, int))
        elif name in NUMBERS:
            setattr(op, name, _number(step, value, float))
        elif name == "bgr2rgb":
            op.bgr2rgb = value.lower() in TRUE
        elif name in ("mean_value", "scale"):
            _per_channel(op, name, step, [_number(step, v, float) for v in value.split(":")])
        else:
            raise UsageError(f"--cali_image_preprocess: '{step.strip()}': no step has '{name}'")


def _per_channel(op: Any, name: str, step: str, numbers: list[float]) -> None:
    if name == "mean_value":
        op.mean_value.extend(numbers)
    elif len(set(numbers)) == 1:
        op.scale = numbers[0]
    else:
        raise UsageError(f"--cali_image_preprocess: '{step.strip()}': one scale for all channels is needed")


def _number(step: str, text: str, kind: Any) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise UsageError(f"--cali_image_preprocess: '{step.strip()}': '{text}' is no number") from None
