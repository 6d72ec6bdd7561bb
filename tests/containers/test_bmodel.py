"""The file format: layout, dedup, checks, damage."""

import contextlib
import hashlib
import struct
from pathlib import Path

import pytest
from container_models import COEFFICIENTS, small_model
from hypothesis import given, settings
from hypothesis import strategies as st

from bittrue.containers.bmodel import bmodel_bytes, check_codes, new_model, parse_bmodel, read_bmodel, write_bmodel
from bittrue.containers.bmodel_check import check_model
from bittrue.containers.bmodel_text import info_text, print_text
from bittrue.containers.build import read_compiled, stage_dynamic, stage_kind
from bittrue.containers.flat import Binary, Table
from bittrue.errors import BittrueError, DataError

SMALL = bmodel_bytes(small_model())


def test_layout() -> None:
    magic, header, flat, binary = struct.unpack_from("<4I", SMALL)
    assert (magic, header, flat % 8) == (0xFF55AAEE, 64, 0)
    assert SMALL[:4] == b"\xee\xaa\x55\xff"
    assert SMALL[16:64] == bytes(48)
    assert len(SMALL) == header + flat + binary


def test_compiled_stage_round_trip(tmp_path: Path) -> None:
    write_bmodel(small_model(flags=1), tmp_path / "m.bmodel")
    model = read_bmodel(tmp_path / "m.bmodel")
    assert [p.name for p in tmp_path.iterdir()] == ["m.bmodel"]
    stage = model.stage("net")
    assert stage_kind(stage) == "bittrue"
    assert stage_dynamic(stage) and stage.is_dynamic == 0 and stage.n_dynamic == 1
    compiled = read_compiled(stage)
    assert compiled.coefficients == dict(COEFFICIENTS)
    assert compiled.sections == {"GRPH": b"graph" * 11, "META": b"{}"}
    assert compiled.inputs[0].shape == (1, 3, 4, 4) and compiled.inputs[0].scale == 0.5
    assert check_model(model) == []


def test_stage_layout() -> None:
    stage = small_model().stage()
    assert stage.coeff_mem.address == 0x105100000
    assert stage.ctx_addr == 0x105101000 and stage.ctx_size == 0x2000
    assert [t.device_addr for t in (*stage.input_tensor, *stage.output_tensor)] == [0x105101000, 0x105102000]
    assert stage.cmd_group is None and len(stage.sub_net) == 1
    subnet = stage.sub_net[0]
    assert (subnet.is_dynamic, subnet.ir_offset, subnet.ir_len) == (1, 0, stage.binary_ir.size)
    assert stage.stage_ir[0].ir_info_len * 4 == stage.binary_ir.size
    assert stage.coeff_mem.check_code == hashlib.sha256(b"".join(d for _, d in COEFFICIENTS)).digest()


def test_equal_blobs_are_stored_once() -> None:
    root = new_model("BM1684")
    root.kernel_module = Table("KernelModule", file_name="a", binary=Binary.of(b"same"))
    root.cpuop_module = Table("CpuopModule", file_name="b", binary=Binary.of(b"same"))
    model = small_model()
    model.root.kernel_module, model.root.cpuop_module = root.kernel_module, root.cpuop_module
    back = parse_bmodel(bmodel_bytes(model))
    assert back.root.kernel_module.binary.start == back.root.cpuop_module.binary.start
    assert len(back.section) == len(parse_bmodel(SMALL).section) + 4


def test_longer_file_is_accepted() -> None:
    assert parse_bmodel(SMALL + b"tail").root == parse_bmodel(SMALL).root


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", r"is broken \. "),
        (b"\0" * 100, r"is broken \.\. "),
        (struct.pack("<4I", 0xFF55AAFF, 64, 0, 0) + bytes(100), "older compiler"),
        (struct.pack("<4I", 0xFF55AAEE, 72, 0, 0) + bytes(100), "encrypted"),
        (struct.pack("<4I", 0xFF55AAEE, 64, 8, 1000) + bytes(100), r"is broken \.\.\. "),
        (struct.pack("<4I", 0xFF55AAEE, 64, 8, 0) + bytes(100), r"Model file\[f\] is broken\."),
    ],
)
def test_messages(data: bytes, text: str) -> None:
    with pytest.raises(DataError, match=text) as error:
        parse_bmodel(data, "f")
    assert "\n" not in str(error.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"open failed\."):
        read_bmodel(tmp_path / "none")


def test_truncation_at_every_length() -> None:
    for length in range(len(SMALL)):
        with pytest.raises(DataError):
            parse_bmodel(SMALL[:length])


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), min_size=1, max_size=12))
def test_corruption_never_crashes(changes: list[tuple[int, int]]) -> None:
    data = bytearray(SMALL)
    for position, value in changes:
        data[position] = value
    try:
        model = parse_bmodel(bytes(data))
    except DataError:
        return
    info_text(model)
    print_text(model).encode()
    for use in (lambda: check_model(model), lambda: bmodel_bytes(model), lambda: read_compiled(model.stage())):
        with contextlib.suppress(BittrueError):
            use()


def test_every_flipped_byte() -> None:
    for position in range(len(SMALL)):
        data = bytearray(SMALL)
        data[position] ^= 0xFF
        with contextlib.suppress(DataError):
            check_model(parse_bmodel(bytes(data)))


def test_binary_outside_section() -> None:
    model = parse_bmodel(SMALL)
    end = len(model.section)
    data = SMALL.replace(struct.pack("<QQ", 0, 64), struct.pack("<QQ", end, 64))
    assert data != SMALL
    with pytest.raises(DataError, match=r"Binary net\[0\].*outside the binary section"):
        parse_bmodel(data)


def test_check_code_mismatch() -> None:
    model = small_model()
    model.stage().coeff_mem.check_code = bytes(32)
    expected = hashlib.sha256(bytes(model.stage().coeff_mem.binary_coeff)).hexdigest()[:8]
    assert check_codes(model) == [f"coeff check_code mismatch: net[0] stage[0] stored 00000000 computed {expected}"]


def test_old_nets_become_stages() -> None:
    stage = small_model().stage()
    root = new_model("BM1682")
    old = Table("NetDynamic", input_tensor=stage.input_tensor, output_tensor=stage.output_tensor, ctx_size=5)
    static = Table("NetStatic", input_tensor=stage.input_tensor, output_tensor=stage.output_tensor)
    root.net = [Table("Net", name="old", net_dynamic=[old], net_static=[static])]
    data = bmodel_bytes(type(small_model())(root))
    model = parse_bmodel(data)
    assert [s.is_dynamic for s in model.nets[0].parameter] == [0, 1]
    assert model.nets[0].parameter[1].ctx_size == 5
    assert parse_bmodel(data, convert=False).nets[0].parameter is None
