"""The command line: verbs are loaded when they are used, errors become one line and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

import click

from bittrue import __version__
from bittrue.errors import BittrueError

# verb -> (module of bittrue.cli, attribute, one line of help)
VERBS: dict[str, tuple[str, str, str]] = {
    "demo": ("demo", "demo_command", "the main job on the shipped model and images"),
    "import": ("import_", "import_command", "any frontend to the float graph"),
    "inspect": ("inspect_", "inspect_command", "what is in a model, bmodel, context directory or result"),
    "calibrate": ("calibrate", "calibrate_command", "thresholds from data"),
    "compile": ("compile", "compile_command", "float model to a context directory"),
    "run": ("run", "run_command", "simulate a compiled model"),
    "verify": ("verify", "verify_command", "simulate a context directory and compare it with its reference data"),
    "compare": (
        "compare",
        "compare_command",
        "two archives, compiled models or results, or a float and a compiled one",
    ),
    "explain": ("explain", "explain_command", "why a layer differs, with proof"),
    "repro": ("repro", "repro_command", "one failing layer as a model of its own that fails alone"),
    "judge": ("judge", "judge_command", "a stored result again, under another policy"),
    "audit": ("audit_group", "audit_group", "accuracy of the quantized model on data; classify, detect"),
    "sensitivity": ("sensitivity", "sensitivity_command", "which layers cost accuracy"),
    "tune": ("tune", "tune_command", "float layers under a budget, each step simulated"),
    "golden": ("golden", "golden_group", "golden data: make, verify, diff, promote with a reason"),
    "conformance": ("conformance", "conformance_command", "recorded op vectors of a device or vendor simulator"),
    "lmdb": ("lmdb_", "lmdb_command", "calibration data as an LMDB folder"),
    "bmodel": ("bmodel", "bmodel_group", "list, print, extract and combine .bmodel files"),
    "targets": ("targets", "targets_group", "profiles and the supported-ops table"),
    "report": ("report", "report_command", "re-render a stored result"),
    "bmnetc": ("compilers", "COMMANDS", "the vendor's compiler of Caffe models to bmodels"),
    "bmneto": ("compilers", "COMMANDS", "the same of ONNX models"),
    "bmnetu": ("compilers", "COMMANDS", "the same of umodels"),
    **dict.fromkeys(
        ("bmnett", "bmnetm", "bmnetp", "bmnetd", "bmpaddle"),
        ("compilers", "COMMANDS", "of a framework that is not read here: says so"),
    ),
    "bmrt_test": ("vendor", "bmrt_test_command", "the vendor's runtime tester: same options, lines and exit codes"),
    "bm_model.bin": ("vendor", "bm_model_command", "the vendor's container tool, --verb spelling"),
    "tpu_model": ("vendor", "tpu_model_command", "the same under its later name"),
    "model_tool": ("vendor", "model_tool_command", "the same under its newest name"),
    "calibration_use_pb": ("vendor", "calibration_command", "the vendor's calibrator: float umodel to INT8 umodel"),
    "convert_imageset": ("vendor", "convert_imageset_command", "Caffe's tool: listed pictures as an LMDB of uint8"),
    "create_lmdb": ("vendor", "create_lmdb_command", "the vendor's tool: a folder of pictures as an LMDB of float32"),
    "lmdb_info": ("vendor", "lmdb_info_command", "the vendor's tool: the records of an LMDB"),
    "classify_demo": ("vendor", "classify_demo_command", "the vendor's demo of a classifier: top-k in float and INT8"),
    "detect_demo": ("vendor", "detect_demo_command", "the vendor's demo of a detector: boxes in a picture"),
    "face_demo": ("vendor", "face_demo_command", "the same for faces"),
    "ufw": ("vendor", "ufw_command", "the vendor's test of a umodel: test_fp32, test_int8"),
    "dump_tensor_data_use_pb": ("vendor", "dump_tensor_data_command", "all blobs of a umodel's network"),
    "cf_to_umodel": ("vendor", "cf_to_umodel_command", "a Caffe model as fp32umodel"),
    "on_to_umodel": ("vendor", "on_to_umodel_command", "an ONNX model as fp32umodel"),
    "cali_model": ("vendor", "cali_model_command", "the vendor's automatic calibration, from a model to INT8"),
    "to_umodel": ("vendor", "to_umodel_command", "a binary umodel as text"),
    "view_demo": ("vendor", "view_demo_command", "the vendor's view of a calibration: every blob in float and INT8"),
    "shims": ("vendor", "shims_command", "launchers named as the vendor's tools"),
    "doctor": ("doctor", "doctor_command", "what this machine offers"),
}

VENDOR_MODULES = ("vendor", "compilers")


class LazyGroup(click.Group):
    """Imports a verb's module only when the verb is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module, attribute, _ = VERBS[cmd_name]
        found: click.Command | dict[str, click.Command] = getattr(import_module(f"bittrue.cli.{module}"), attribute)
        return found[cmd_name] if isinstance(found, dict) else found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        vendor = [(verb, text) for verb, (module, _, text) in VERBS.items() if module in VENDOR_MODULES]
        own = [(verb, text) for verb, (module, _, text) in VERBS.items() if module not in VENDOR_MODULES]
        for title, rows in (("Verbs", own), ("Tools under the vendor's names", vendor)):
            with formatter.section(title):
                formatter.write_dl(rows)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 pass, 1 mismatch or threshold missed, 2 usage, 3 unsupported op or feature, "
    "4 bad or inconsistent data, 5 internal error.",
)
@click.version_option(__version__, prog_name="bittrue")
def cli() -> None:
    """Bit-true simulation and verification of quantized neural networks for edge NPUs."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the `bittrue` command. arguments: default those of the process."""
    try:
        code = cli.main(arguments, standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Exit as e:
        sys.exit(e.exit_code)
    except click.ClickException as e:
        e.show()
        sys.exit(2)
    except click.Abort:
        click.echo("bittrue: interrupted", err=True)
        sys.exit(130)
    except BittrueError as e:
        click.echo(f"bittrue: {e}", err=True)
        sys.exit(e.exit_code)
    except BrokenPipeError:
        sys.exit(0)
    except Exception as e:
        if os.environ.get("BITTRUE_DEBUG"):
            traceback.print_exc()
        click.echo(f"bittrue: internal error: {type(e).__name__}: {e} (BITTRUE_DEBUG=1 shows where)", err=True)
        sys.exit(5)


if __name__ == "__main__":
    main()
