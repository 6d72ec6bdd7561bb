"""The vendor's tools under their own names, and `bittrue shims DIR`: launchers with those names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from bittrue.vendor.sophgo import convert_imageset, create_lmdb, demos, model_tool
from bittrue.vendor.sophgo.bmrt import tester
from bittrue.vendor.sophgo.calibration import run as calibration
from bittrue.vendor.sophgo.demos import classify as classify_demo
from bittrue.vendor.sophgo.demos import detect as detect_demo
from bittrue.vendor.sophgo.shims import write_shims
from bittrue.vendor.sophgo.ufwio import lmdb_info

# The tools parse their own arguments.
AS_GIVEN: dict[str, Any] = {
    "add_help_option": False,
    "context_settings": {"ignore_unknown_options": True, "help_option_names": []},
}


def vendor_tool(name: str, text: str, run: Callable[[Sequence[str]], int]) -> click.Command:
    """A tool of the vendor's as a verb. text: its help in the list of verbs. run: arguments to exit code."""

    @click.command(name, help=text, **AS_GIVEN)
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def command(arguments: tuple[str, ...]) -> int:
        return run(arguments)

    return command


bmrt_test_command = vendor_tool("bmrt_test", "The vendor's runtime tester, drop-in.", tester.main)
bm_model_command, tpu_model_command, model_tool_named_command = (
    vendor_tool(name, f"The vendor's container tool: {name} --info FILE.", partial(model_tool.run, name))
    for name in model_tool.NAMES
)

calibration_command = vendor_tool(
    "calibration_use_pb", "The vendor's calibrator: float umodel to INT8 umodel.", calibration.run
)

convert_imageset_command, create_lmdb_command, lmdb_info_command = (
    vendor_tool(module.TOOL.name, module.TOOL.summary, module.run)
    for module in (convert_imageset, create_lmdb, lmdb_info)
)

classify_demo_command = vendor_tool(
    demos.CLASSIFY, "The vendor's demo of a classifier: top-k in float and INT8.", classify_demo.run
)
detect_demo_command, face_demo_command = (
    vendor_tool(
        name,
        f"The vendor's demo of a detector: {name} PROTOTXT UMODEL THRESHOLD PICTURE.",
        partial(detect_demo.run, name),
    )
    for name in demos.DETECT
)


@click.command("shims")
@click.argument("folder", type=click.Path(path_type=Path))
def shims_command(folder: Path) -> None:
    """Write launchers named as the vendor's tools into FOLDER, and Python modules named as the vendor's into
    FOLDER/python, so that existing scripts run unchanged.

    FOLDER/envsetup_cmodel.sh sets PATH and PYTHONPATH to them.

    \b
    Example:
      bittrue shims bin && PATH="$PWD/bin:$PATH" bmrt_test --context_dir net
      . bin/envsetup_cmodel.sh && python3 -m ufwio.lmdb_info lmdb
    """
    for path in write_shims(folder):
        click.echo(str(path))
