"""Files of real compilers."""

from pathlib import Path

import pytest

from bittrue.containers.bmodel import bmodel_bytes, parse_bmodel, read_bmodel
from bittrue.containers.bmodel_check import check_model
from bittrue.containers.bmodel_text import info_text, print_text, weight_text
from bittrue.containers.build import stage_kind
from bittrue.containers.context_dir import ContextDir
from shared import SHARED, needs_shared

FOLDERS = sorted((SHARED / "oracle/bm1684/bmodels").iterdir()) if SHARED else []
pytestmark = needs_shared


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)
def test_rewritten_file_is_the_same(folder: Path) -> None:
    model = read_bmodel(folder / "compilation.bmodel")
    again = parse_bmodel(bmodel_bytes(model))
    assert again.root == model.root
    assert len(again.section) <= len(model.section)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)
def test_listing_and_data(folder: Path) -> None:
    context = ContextDir.open(folder)
    assert check_model(context.model) == []
    assert info_text(context.model).startswith("bmodel version: B.2")
    assert print_text(context.model).endswith("}\n")
    stages = list(context.model.stages())
    assert len(context.inputs) == len(context.outputs) == len(stages)
    expected = "dynamic_ir" if folder.name == "lstm_dynamic" else "instructions"
    assert {stage_kind(s.stage) for s in stages} == {expected}


def test_multi_stage_listing() -> None:
    assert SHARED is not None
    model = read_bmodel(SHARED / "oracle/bm1684/bmodels/multi_stage_w/compilation.bmodel")
    last = info_text(model, vendor_numbers=True).split("\n\n\n")[1]
    assert last == (
        "device mem size: 15104 (weight: 1024, instruct: 768, runtime: 13312)\n"
        "host mem size: 0 (weight: 0, runtime: 0)\n"
    )
    assert weight_text(model).count("conv1_bias : [0x200, 0x300)") == 2
