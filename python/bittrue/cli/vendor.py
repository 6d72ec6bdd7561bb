"""The vendor's tools under their own names, and `bittrue shims DIR`: launchers with those names."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import click

# The tools parse their own arguments.
AS_GIVEN: dict[str, Any] = {
    "add_help_option": False,
    "context_settings": {"ignore_unknown_options": True, "help_option_names": []},
}


def vendor_tool(name: str, text: str, module: str, function: str = "run", *first: str) -> click.Command:
    """A tool of the vendor's as a verb. text: its help in the list of verbs. module, function: under
    bittrue.vendor.sophgo, loaded when the verb runs; arguments, after those in `first`, to exit code."""

    @click.command(name, help=text, **AS_GIVEN)
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def command(arguments: tuple[str, ...]) -> int:
        run = getattr(import_module(f"bittrue.vendor.sophgo.{module}"), function)
        return int(run(*first, arguments))

    return command


def _container_tool(name: str) -> click.Command:
    return vendor_tool(name, f"The vendor's container tool: {name} --info FILE.", "model_tool", "run", name)


def _detect_demo(name: str) -> click.Command:
    text = f"The vendor's demo of a detector: {name} PROTOTXT UMODEL THRESHOLD PICTURE."
    return vendor_tool(name, text, "demos.detect", "run", name)


bmrt_test_command = vendor_tool("bmrt_test", "The vendor's runtime tester, drop-in.", "bmrt.tester", "main")
bm_model_command = _container_tool("bm_model.bin")
tpu_model_command = _container_tool("tpu_model")
model_tool_command = _container_tool("model_tool")
calibration_command = vendor_tool(
    "calibration_use_pb", "The vendor's calibrator: float umodel to INT8 umodel.", "calibration.run"
)
convert_imageset_command = vendor_tool(
    "convert_imageset", "Pictures of a list as an LMDB in Caffe's form.", "convert_imageset"
)
create_lmdb_command = vendor_tool("create_lmdb", "Pictures of a folder as an LMDB of float records.", "create_lmdb")
lmdb_info_command = vendor_tool("lmdb_info", "One line a record of an LMDB.", "ufwio.lmdb_info")
classify_demo_command = vendor_tool(
    "classify_demo", "The vendor's demo of a classifier: top-k in float and INT8.", "demos.classify"
)
detect_demo_command = _detect_demo("detect_demo")
view_demo_command = vendor_tool(
    "view_demo", "The vendor's view of a calibration: every blob in float and INT8, as a page.", "analysis"
)
face_demo_command = _detect_demo("face_demo")
ufw_command = vendor_tool("ufw", "Accuracy layers of a test prototxt over its data.", "ufw.testing")
dump_tensor_data_command = vendor_tool(
    "dump_tensor_data_use_pb", "All blobs of some batches as .npz.", "ufw.testing", "run_dump"
)
cf_to_umodel_command = vendor_tool(
    "cf_to_umodel", "A Caffe model as fp32umodel and test prototxt.", "ufw.tools", "convert", "cf_to_umodel"
)
on_to_umodel_command = vendor_tool(
    "on_to_umodel", "An ONNX model as fp32umodel and test prototxt.", "ufw.tools", "convert", "on_to_umodel"
)
to_umodel_command = vendor_tool("to_umodel", "A binary umodel as text.", "ufw.tools.to_umodel")

cali_model_command = vendor_tool(
    "cali_model", "From a model to an INT8 bmodel, trying calibrations.", "ufw.cali.cali_model"
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
    from bittrue.vendor.sophgo.shims import write_shims

    for path in write_shims(folder):
        click.echo(str(path))
