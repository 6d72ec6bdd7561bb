"""`bittrue audit`: what quantization costs, one verb for each kind of network."""

from __future__ import annotations

import click

from bittrue.cli.audit import audit_command
from bittrue.cli.audit_classify import classify_command
from bittrue.cli.audit_detect import detect_command

DEFAULT = "network"
COMMANDS = {DEFAULT: audit_command, "classify": classify_command, "detect": detect_command}


class DefaultGroup(click.Group):
    """`audit MODEL` means `audit network MODEL`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)


@click.group("audit", cls=DefaultGroup, commands=COMMANDS)
def audit_group() -> None:
    """Measure what quantization costs, float and quantized side by side on the same data.

    `audit MODEL` is `audit network MODEL`. A file named as one of the commands needs its folder: ./detect.

    \b
    Examples:
      bittrue audit model.onnx --target bm1684,bm1684x --data labelled.npz --json audit.json
      bittrue audit classify model.onnx --target bm1684 --data pictures.txt --topk 1,5
      bittrue audit detect model.onnx --target bm1684 --data images/ --decoder yunet --html faces.html
      bittrue audit demo_output/bm1684 --overflow
    """
