"""Files that options and environment ask for, the priority, and the strict mode."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.shared import SHARED, needs_shared
from tests.vendor.tiny_networks import joined_dir, relu_dir, spoil

from bittrue.containers.bmodel import read_bmodel, write_bmodel
from bittrue.containers.build import IoTensor, build_bmodel
from bittrue.containers.payload import pack_payload
from bittrue.vendor.sophgo.bmrt.debug_files import text_of
from bittrue.vendor.sophgo.bmrt.numbers import atof, atoi, number, numbers
from bittrue.vendor.sophgo.bmrt.tester import main


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return joined_dir(tmp_path_factory.mktemp("net") / "n", ("a", (1, 3, 2, 2)), ("a", (2, 3, 2, 2)))


@pytest.fixture
def net(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network with two stages that may be changed; the current folder is another one; the priority stays."""
    shutil.copytree(made, tmp_path / "net")
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setattr("os.setpriority", lambda *_: None)
    return tmp_path / "net"


def reference(folder: Path) -> bytes:
    return (folder / "output_ref_data.dat").read_bytes()


def test_exported_outputs_are_those_of_the_first_loop(net: Path) -> None:
    exported = net / "output.dat"
    exported.write_bytes(b"old")
    assert main(["-d", str(net), "--export_output", "--loopnum", "2"]) == 0
    assert exported.read_bytes() == reference(net)
    assert main(["-d", str(net), "--export_output", "--stage_idx", "1"]) == 0
    assert exported.read_bytes() == reference(net)[48:]
    right = reference(net)
    spoil(net, 0, 9)
    assert main(["-d", str(net), "--export_output"]) == 255  # written before the comparison that ends the run
    assert exported.read_bytes() == right[:48]
    assert main(["--bmodel", str(net / "compilation.bmodel"), "--export_output"]) == 0
    assert exported.read_bytes() == bytes(144)  # zero input


def test_a_file_that_cannot_be_written(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (net / "output.dat").mkdir()
    assert main(["-d", str(net), "--export_output"]) == 255
    assert f"FATAL:cannot open file {net}/output.dat" in capsys.readouterr().out
    Path("output_0_0_float.txt").mkdir()
    assert main(["-d", str(net), "--debug_output"]) == 255
    assert "FATAL:[Errno" in capsys.readouterr().out


def test_saved_tensors_are_those_of_the_last_stage(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("", "0", "yes"):
        monkeypatch.setenv("BMRT_SAVE_IO_TENSORS", value)
        assert main(["-d", str(net)]) == 0
        assert not list(Path.cwd().iterdir())
    monkeypatch.setenv("BMRT_SAVE_IO_TENSORS", "1")
    assert main(["-d", str(net)]) == 0
    assert Path("output_ref_data.dat.bmrt").read_bytes() == reference(net)[48:]
    assert Path("input_ref_data.dat.bmrt").read_bytes() == (net / "input_ref_data.dat").read_bytes()[48:]


def test_debug_output_of_every_memory(net: Path) -> None:
    assert main(["-d", str(net), "--debug_output", "--calculate_times", "2", "--stage_idx", "0"]) == 0
    names = {"input_ref_0_float.txt", "output_0_0_float.txt", "output_1_0_float.txt", "output_ref_0_float.txt"}
    assert {p.name for p in Path.cwd().iterdir()} == names | {"output_0.dat", "ref_0.dat"}
    values = np.fromfile(net / "output_ref_data.dat", np.float32)[:12]
    assert Path("output_0.dat").read_text() == "".join(f"{v:g}\n" for v in values)
    assert Path("output_1_0_float.txt").read_text() == Path("output_ref_0_float.txt").read_text()


def test_debug_output_without_comparison(net: Path) -> None:
    assert main(["-d", str(net), "--debug_output", "--compare", "0"]) == 0
    assert {p.name for p in Path.cwd().iterdir()} == {"input_ref_0_float.txt", "output_0_0_float.txt"}


def test_text_of_integers_and_of_many_dimensions() -> None:
    value = np.int8([[[[1, -2], [3, 127]], [[-128, 0], [5, 6]]]])
    assert text_of(IoTensor("t", "int8", value.shape), value) == (
        "signed_char, shape[N, C, H, W]=[1,2,2,2]\n"
        "N=0, C=0\n   1   -2 \n   3  127 \n\nN=0, C=1\n-128    0 \n   5    6 \n\n\n"
    )
    wide = np.arange(8, dtype=np.uint16).reshape(2, 1, 1, 2, 2)
    assert text_of(IoTensor("t", "uint16", wide.shape), wide) == (
        "unsigned_short, shape=[2,1,1,2,2,]\nrank > 4, dump the last 4 dimension only.\n"
        "N=0, C=0\n   0    1 \n   2    3 \n\n\n"
    )


def test_launch_times(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BMRUNTIME_ENABLE_PROFILE", "1")
    Path("bmprofile_data-0").mkdir()  # of an earlier run
    assert main(["-d", str(net), "--loopnum", "2"]) == 0
    content = json.loads(Path("bmprofile_data-1").read_text())
    assert content["schema"] == "bittrue-launch-times/1"
    seen = [(launch["net"], launch["stage"], launch["loop"]) for launch in content["launches"]]
    assert seen == [("a", 0, 0), ("a", 1, 0), ("a", 0, 1), ("a", 1, 1)]
    assert all(launch["seconds"] >= sum(launch["layers"].values()) > 0 for launch in content["launches"])


def test_the_priority_is_raised_and_given_back(
    net: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[int] = []
    monkeypatch.setattr("os.setpriority", lambda kind, who, value: asked.append(value))
    before = os.getpriority(os.PRIO_PROCESS, 0)
    assert main(["-d", str(net)]) == 0
    assert asked == [-20, before] and "setpriority" not in capsys.readouterr().out

    def refused(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr("os.setpriority", refused)
    assert main(["-d", str(net)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "[BMRT][bmrt_test:806] WARNING:setpriority failed, cpu time might flutuate."


def test_strict_refuses_what_the_vendor_passes(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(net)
    for options in (["--stage_idx", "7"], ["--compare", "0"]):
        assert main(["-d", folder, *options]) == 0
        assert "WARNING:bittrue: nothing was compared" in capsys.readouterr().out
        assert main(["-d", folder, *options, "--quiet-compat"]) == 0
        assert "bittrue:" not in capsys.readouterr().out
        assert main(["-d", folder, *options, "--strict"]) == 255
        assert "WRONG:bittrue: nothing was compared" in capsys.readouterr().out
    with (net / "input_ref_data.dat").open("ab") as f:
        f.write(b"abc")
    assert main(["-d", folder]) == 0
    assert "WARNING:bittrue: " in capsys.readouterr().out
    assert main(["-d", folder, "--strict"]) == 255
    assert "3 surplus bytes in the input reference data" in capsys.readouterr().out


def test_strict_knows_the_tolerances(net: Path) -> None:
    data = np.fromfile(net / "output_ref_data.dat", np.float32)
    largest = int(data.argmax())
    spoil(net, largest, float(data[largest]) * 1.001)
    folder = str(net)
    assert main(["-d", folder]) == 0
    assert main(["-d", folder, "--strict"]) == 255
    assert main(["-d", folder, "--strict", "--accuracy_f", "0.01"]) == 0


def test_4_bit_types_are_refused(tmp_path: Path, net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    io = [IoTensor("t", "int4", (1, 4))]
    model = build_bmodel(
        chip="BM1684", net_name="n", inputs=io, outputs=io, coefficients=[], payload=pack_payload({"GRPH": b""}, 0)
    )
    write_bmodel(model, net / "compilation.bmodel")
    assert main(["-d", str(net)]) == 255
    assert "not support dtype int4" in capsys.readouterr().out


@needs_shared
@pytest.mark.parametrize("by_file", [False, True])
def test_neuron_memory(by_file: bool, net: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert SHARED is not None
    folder = tmp_path / "stream"
    shutil.copytree(SHARED / "oracle/bm1684/bmodels/single_f32", folder)
    folder.chmod(0o755)
    arguments = ["--bmodel", str(folder / "compilation.bmodel")] if by_file else ["-d", str(folder)]
    assert main([*arguments, "--export_neuron"]) == 0
    memory = (folder / "neuron_mem_net0_0.dat").read_bytes()
    assert (bytes(3072) if by_file else reference(folder)) in memory and len(memory) % 4096 == 0
    assert main(["-d", str(net), "--export_neuron"]) == 0
    assert "no device memory" in capsys.readouterr().out


@given(st.lists(st.tuples(st.integers(0), st.integers(0, 255)), max_size=8), st.integers(0, 3))
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_broken_models_end_with_an_exit_code(net: Path, changes: list[tuple[int, int]], cut: int) -> None:
    """Wherever bytes of the model change, the run passes or fails as the tester does; nothing escapes it."""
    broken = net.parent / "broken"
    shutil.copytree(net, broken, dirs_exist_ok=True)
    content = bytearray((net / "compilation.bmodel").read_bytes())
    for position, value in changes:
        content[position % len(content)] = value
    (broken / "compilation.bmodel").write_bytes(content[: len(content) - cut])
    assert main(["-d", str(broken)]) in (0, 255)


def test_absurd_shapes(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = read_bmodel(net / "compilation.bmodel")
    next(iter(model.stages())).stage.input_tensor[0].shape[0].dim = [2**40, 2**40]
    write_bmodel(model, net / "compilation.bmodel")
    for arguments in (["-d", str(net)], ["--bmodel", str(net / "compilation.bmodel")]):
        assert main(arguments) == 255
        assert "larger than the memory of a device" in capsys.readouterr().out


def test_numbers_as_c_reads_and_prints_them() -> None:
    assert [atoi(t) for t in ("12x", " -3", "+7", "", "x1", "0x10")] == [12, -3, 7, 0, 0, 0]
    assert [atof(t) for t in ("0.01f", ".5e1", "1.", "INF", "", "e5", "-2E-1x")] == [0.01, 5, 1, np.inf, 0, 0, -0.2]
    nan = np.uint32([0x7FC00000, 0xFFC00000]).view(np.float32)
    shown = [*nan, np.float32(-np.inf), np.float32(1e6), np.float32(0.1), np.int32(-5), np.float16(0.5)]
    assert [number(v) for v in shown] == ["nan", "-nan", "-inf", "1e+06", "0.1", "-5", "0.5"]
    assert number(np.float32(2.5), ".3f") == "2.500"
    for values in (np.float32([[*nan, 1.5], [100, 1e-9, -0.0]]), np.float16([[0.1, *nan]]), np.uint8([[0, 255]])):
        assert numbers(values) == [number(v) for v in values.ravel()]


def test_a_network_in_a_folder_of_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.setpriority", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    relu_dir(tmp_path / "with blank", "s")
    assert main(["-d", "with blank"]) == 0
    assert main(["--bmodel_list", "list.txt"]) == 134
