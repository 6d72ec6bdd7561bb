"""The bmodel command line and the edits behind it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from container_models import small_model

from bittrue.cli.bmodel import bmodel_group
from bittrue.containers.bmodel import read_bmodel, write_bmodel
from bittrue.containers.bmodel_edit import base_name, combine, extract
from bittrue.containers.build import read_compiled
from bittrue.errors import DataError, MismatchError


def run(*args: object) -> Result:
    result = CliRunner().invoke(bmodel_group, [str(a) for a in args])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_bmodel(small_model(), tmp_path / "a.bmodel")
    return tmp_path / "a.bmodel"


@pytest.fixture
def both(tmp_path: Path, file: Path) -> Path:
    write_bmodel(small_model(4), tmp_path / "b.bmodel")
    run("combine", file, tmp_path / "b.bmodel", "-o", tmp_path / "both.bmodel")
    return tmp_path / "both.bmodel"


def test_every_verb_has_an_example() -> None:
    for name, command in bmodel_group.commands.items():
        assert f"Example: bittrue bmodel {name}" in (command.help or "")


def test_info(file: Path) -> None:
    text = run("info", file).output
    assert "net 0: [net]  static\n------------\nstage 0, core num: 1\n" in text
    assert "input: x, [1, 3, 4, 4], int8, scale: 0.5, zero point: 0\n" in text
    assert "kernel_module: not found!\n" in text
    data = json.loads(run("info", file, "--json").output)
    assert data["nets"][0]["stages"][0]["kind"] == "bittrue"


def test_dynamic_net(tmp_path: Path) -> None:
    write_bmodel(small_model(flags=1), tmp_path / "d.bmodel")
    text = run("info", tmp_path / "d.bmodel").output
    assert "[net]  dynamic" in text and "[max:1, max:3, max:4, max:4]" in text
    assert run("dynamic", tmp_path / "d.bmodel").output == "true\n"


def test_weight(file: Path) -> None:
    assert run("weight", file).output == (
        'net 0 : "net", stage:0\n'
        + "-" * 31
        + "\nconv.filter : [0x0, 0x30)\nconv.bias : [0x30, 0x40)\n"
        + "=" * 42
        + "\n"
    )


def test_print(file: Path) -> None:
    text = run("print", file).output
    assert "        shape: [{\n          dim: [0x01,0x03,0x04,0x04]\n        }],\n" in text
    assert "dim: [\n" in run("print", file, "--style", "mlir").output


def test_combine_and_extract(both: Path, tmp_path: Path) -> None:
    model = read_bmodel(both)
    assert [s.input_tensor[0].shape[0].dim[0] for s in model.nets[0].parameter] == [1, 4]
    assert model.root.version == "2.2"
    output = run("extract", both, "-o", tmp_path / "parts").output
    assert output.endswith("Success: all files have been generated!\n")
    part = read_bmodel(tmp_path / "parts" / "bm_net0_stage1.bmodel")
    assert part.nets[0].parameter[0] == model.nets[0].parameter[1]
    rejoined = combine([m for _, m in extract(model)])
    assert rejoined.model.nets == model.nets
    assert run("check", both).exit_code == 0


def test_conflicts() -> None:
    with pytest.raises(DataError, match=r"net\[net\] input tensors is conflict.*should not be the same"):
        combine([small_model(), small_model()])
    with pytest.raises(DataError, match="is BM1684X, expected BM1684"):
        combine([small_model(), small_model(4, chip="BM1684X")])
    assert len(combine([small_model(), small_model(4, chip="BM1684X")], force=True).sources) == 2
    with pytest.raises(DataError, match=r"dynamic is conflict\."):
        combine([small_model(), small_model(4, flags=1)])


def test_update_weight(both: Path, tmp_path: Path) -> None:
    source = small_model(name="src")
    coeff = source.stage().coeff_mem
    coeff.binary_coeff.data = bytes(64)
    write_bmodel(source, tmp_path / "src.bmodel")
    result = run("update-weight", both, "net", "0x30", tmp_path / "src.bmodel", "src", "48", "--private")
    assert "update success" in result.output and "shared with net[0] stage[1]" in result.output
    first, second = read_bmodel(both).nets[0].parameter
    assert read_compiled(first).coefficients["conv.bias"] == bytes(16)
    assert read_compiled(second).coefficients["conv.bias"] != bytes(16)
    assert run("check", both).exit_code == 0
    with pytest.raises(DataError, match="get dst weight failed by net_name:net, offset:0x31"):
        run("update-weight", both, "net", "0x31", tmp_path / "src.bmodel", "src", "48")


def test_shared_weight_changes_everywhere(both: Path, tmp_path: Path) -> None:
    source = small_model(name="src")
    source.stage().coeff_mem.binary_coeff.data = bytes(64)
    write_bmodel(source, tmp_path / "src.bmodel")
    run("update-weight", both, "net", "0", tmp_path / "src.bmodel", "src", "0")
    for stage in read_bmodel(both).nets[0].parameter:
        assert read_compiled(stage).coefficients["conv.filter"] == bytes(48)
    assert run("check", both).exit_code == 0


def test_dump(file: Path, tmp_path: Path) -> None:
    run("dump", file, "0x2", 4, tmp_path / "o")
    assert (tmp_path / "o").read_bytes() == bytes(read_bmodel(file).section[2:6])
    with pytest.raises(DataError, match="supproted"):
        run("dump", file, 0, 0, tmp_path / "o")


def test_kernel(file: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no kernel_module found\."):
        run("kernel-dump", file)
    (tmp_path / "k.so").write_bytes(b"code")
    run("kernel-update", file, tmp_path / "k.so")
    run("kernel-dump", file, "-o", tmp_path / "folder")
    assert (tmp_path / "folder" / "k.so").read_bytes() == b"code"
    run("kernel-remove", file)
    assert read_bmodel(file).root.kernel_module is None


def test_base_name() -> None:
    assert [base_name(n) for n in ("../../x.so", "a\\b.so", "..", "")] == ["x.so", "b.so", "", ""]


def test_check_finds(file: Path) -> None:
    model = read_bmodel(file)
    model.stage().coeff_mem.check_code = bytes(32)
    model.stage().coeff_mem.location[1].offset = 0
    write_bmodel(model, file)
    with pytest.raises(MismatchError, match="findings"):
        run("check", file)
