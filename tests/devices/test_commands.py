"""Field tables, decoder, encoder and printer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittrue.containers.bmodel import read_bmodel
from bittrue.devices.bm1684.commands import ENGINES, FIELDS, CommandGroup, command_groups, decode, encode
from bittrue.devices.bm1684.disasm import disassemble, line
from bittrue.errors import DataError
from tests.devices.streams import graph_model, group_table, small_graph
from tests.shared import SHARED, needs_shared

Array = np.ndarray[Any, Any]
words = st.lists(st.integers(0, 2**32 - 1), min_size=32, max_size=32)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_fields_cover_all_bits_once(engine: str) -> None:
    bits = [b for _, first, width in FIELDS[engine] for b in range(first, first + width)]
    assert sorted(bits) == list(range(1024))
    assert len({name for name, _, _ in FIELDS[engine]}) == len(FIELDS[engine])


@given(words, st.sampled_from(ENGINES))
def test_encoding_what_was_decoded_gives_the_command_back(command: list[int], engine: str) -> None:
    array = np.array([command], np.uint32)
    fields = decode(engine, array)
    np.testing.assert_array_equal(encode(engine, fields), array)
    value = int.from_bytes(array.tobytes(), "little")
    assert all(fields[0][n] == value >> first & (1 << width) - 1 for n, first, width in FIELDS[engine])


@given(words, st.sampled_from(ENGINES))
def test_every_command_has_a_line(command: list[int], engine: str) -> None:
    text = line(engine, decode(engine, np.array([command], np.uint32))[0])
    assert text.startswith(engine) and "\n" not in text and len(text.split()) > 5


def test_unknown_encodings_are_shown() -> None:
    fields = dict.fromkeys([n for n, _, _ in FIELDS["bdc"]], 0)
    text = line("bdc", fields | {"tsk_typ": 15, "tsk_eu_typ": 30, "res1_addr": 0xABC, "rsvd0": 3})
    assert "task15.eu30" in text and "res1_addr=0xabc" in text and "rsvd0=0x3" in text
    fields = dict.fromkeys([n for n, _, _ in FIELDS["gdma"]], 0)
    text = line("gdma", fields | {"unused_960": 5, "src_data_format": 7, "special_func": 7})
    assert "unused_960=0x5" in text and "S2L.filter.format?" in text


def test_a_command_in_words() -> None:
    program = graph_model(small_graph())[1]
    texts = [d["text"] for d in disassemble(CommandGroup(0, program.bdc, program.gdma))]
    conv = next(t for t in texts if "conv.mul" in t)
    assert "res0=i8[2,8,6,6]@0x8" in conv and "opd1=i8[8,3,3,3]@" in conv and "opd2=i16[8]@" in conv
    assert "stride=2,2" in conv and "pad=1,1,1,1" in conv and "rshift=9 relu" in conv
    assert any("window.max" in t for t in texts) and any("L2S.copy.f32 dst=[1,8,3,3]@0x105" in t for t in texts)


@pytest.mark.parametrize(("name", "value", "text"), [("nothing", 1, "unknown field"), ("tsk_typ", 16, "4 bits")])
def test_fields_that_do_not_fit(name: str, value: int, text: str) -> None:
    with pytest.raises(DataError, match=text):
        encode("bdc", [{name: value}])


def test_counts_beyond_the_blob() -> None:
    stage = graph_model(small_graph())[0].stage()
    table = group_table(np.zeros((2, 32), np.uint32), np.zeros((1, 32), np.uint32))
    table.gdma_num = 2
    stage.cmd_group = [table]
    with pytest.raises(DataError, match=r"group 0: 2 GDMA commands announced, the blob has 128 bytes"):
        command_groups(stage, "stage")


def streams() -> list[Path]:
    return sorted((SHARED / "oracle/bm1684/bmodels").glob("*/compilation.bmodel")) if SHARED else []


@needs_shared
def test_recorded_streams_survive_decoding() -> None:
    assert SHARED
    count = 0
    arrays = [np.load(f) for f in sorted((SHARED / "oracle/bm1684/instr").glob("*/*.npz"))]
    groups = [CommandGroup(0, a["bdc"], a["gdma"]) for a in arrays]
    for path in streams():
        for ref in read_bmodel(path).stages():
            groups += command_groups(ref.stage)
    for group in groups:
        for engine in ENGINES:
            stream = group.stream(engine)
            np.testing.assert_array_equal(encode(engine, decode(engine, stream)), stream)
            count += len(stream)
        for entry in disassemble(group):
            # an odd field of a known command: only res1/opd3 leftovers of unused operands, which are not shown
            assert "task" not in entry["text"].split()[5] and "function" not in entry["text"]
    assert count > 1500
