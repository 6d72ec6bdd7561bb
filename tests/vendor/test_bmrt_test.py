"""`bittrue bmrt_test` end to end: lines, exit codes, selection, files; and what `bittrue verify` refuses."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
from pathlib import Path

import numpy as np
import pytest
from tests.shared import SHARED, needs_shared

from bittrue import api
from bittrue.containers.bmodel import read_bmodel
from bittrue.containers.refdata import model_io
from bittrue.errors import BittrueError, DataError, UsageError
from bittrue.vendor.sophgo.bmrt.options import TEST_CASES
from bittrue.vendor.sophgo.bmrt.tester import main
from bittrue.vendor.sophgo.shims import write_shims

FOLDER = Path(__file__).resolve().parents[2] / "reference_data/digits"
CLASSES = 10


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network with one float32 input and one float32 output."""
    folder = tmp_path_factory.mktemp("bmrt") / "net"
    graph = api.load_float(FOLDER / "digits.onnx")
    table = api.calibrate(graph, api.records(graph, FOLDER / "calibration.npz"), method="max")
    feeds = next(iter(api.records(graph, FOLDER / "test.npz"))).feeds
    api.compile(graph, "bm1684", folder, table=table, reference=feeds, net_name="digits")
    return folder


@pytest.fixture
def net(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that may be changed; the current folder is a scratch folder."""
    folder = tmp_path / "net"
    shutil.copytree(original, folder)
    (folder / "manifest.json").unlink()
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.delenv("BMRT_LOG_VERSION", raising=False)
    monkeypatch.setattr("os.setpriority", lambda *_: None)
    return folder


def outputs(folder: Path) -> np.ndarray:
    return np.fromfile(folder / "output_ref_data.dat", np.float32)


def texts(captured: str) -> list[str]:
    """The lines without times."""
    return [re.sub(r"\d+ us|: \d+\.\d{6}$", "T", line) for line in captured.splitlines()]


def test_success_prints_what_the_tester_prints(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--context_dir", str(net)]) == 0
    lines = texts(capsys.readouterr().out)
    expected = outputs(net)
    shown = "".join(f"{float(v):g} " for v in expected)
    head = [
        "[BMRT][deal_with_options:1634] INFO:Loop num: 1",
        "[BMRT][bmrt_test:833] INFO:device_index=0, chip_id=5764",
        f"[BMRT][load_bmodel:1967] INFO:Loading bmodel from [{net}/compilation.bmodel]. Thanks for your patience...",
        f"[BMRT][load_bmodel:1730] INFO:Bmodel loaded, version {api.find_stage(net)[0].root.version}",
        "[BMRT][load_bmodel:1734] INFO:pre net num: 0, load net num: 1",
        "[BMRT][show_net_info:2535] INFO: ########################",
        "[BMRT][show_net_info:2540] INFO: NetName: digits, Index=0, CoreNum=1",
        "[BMRT][show_net_info:2543] INFO: ---- stage 0 ----",
        "[BMRT][show_net_info:2546] INFO:   Input 0) 'image' shape=[ 1 1 8 8 ] dtype=FLOAT32 scale=1 zero_point=0 "
        "device_id=0",
    ]
    assert lines[: len(head)] == head
    tail = [
        "[BMRT][bmrt_test:1089] INFO:reading output #0, bytesize=40",
        f"[BMRT][print_array:756] INFO:  --> output ref_data: < {shown}>",
        "[BMRT][bmrt_test:1138] INFO:net[digits] stage[0], launch total time is T (npu T, cpu T), "
        "(launch func time T, sync T)",
        "[BMRT][bmrt_test:1146] INFO:+++ The network[digits] stage[0] output_data +++",
        f"[BMRT][print_array:756] INFO:output data #0 shape: [1 10 ] < {shown}>",
        "[BMRT][bmrt_test:1160] INFO:==>comparing output in mem #0 ... ",
        "[BMRT][bmrt_test:1193] INFO:+++ The network[digits] stage[0] cmp success +++",
        "[BMRT][bmrt_test:1208] INFO:load input time(s)T",
        "[BMRT][bmrt_test:1209] INFO:pre alloc  time(s)T",
        "[BMRT][bmrt_test:1210] INFO:calculate  time(s)T",
        "[BMRT][bmrt_test:1211] INFO:get output time(s)T",
        "[BMRT][bmrt_test:1212] INFO:compare    time(s)T",
    ]
    assert lines[-len(tail) :] == tail


def test_failure_ends_the_run(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed = outputs(net)
    changed[int(changed.argmin())] += 0.25
    changed.tofile(net / "output_ref_data.dat")
    assert main(["-d", str(net)]) == 255
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[-1] == "[BMRT][bmrt_test:1196] FATAL:+++ The network[digits] stage[0] cmp failed +++"
    assert lines[-2] == "[BMRT][result_cmp_inner:440] WRONG:comparing #0 output failed!"
    assert lines[-3].startswith(
        "[BMRT][array_cmp_fp32:108] WRONG:error comparing the last tensor:  abs warning at index "
    )
    trace = captured.err.splitlines()
    assert trace[:2] == ["*** bmruntime trace: ***", "============ check coeff ============="]
    assert trace[2].startswith("Coeff, chip[0], SHA[") and trace[-1] == "Total 0 errors"
    assert main(["-d", str(net), "--accuracy_f", "0.3"]) == 0


def test_a_broken_coefficient_is_named_in_the_trace(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed = outputs(net) + np.float32(1)
    changed.tofile(net / "output_ref_data.dat")
    path = net / "compilation.bmodel"
    content = bytearray(path.read_bytes())
    coefficients = api.find_stage(net)[1].stage.coeff_mem.binary_coeff
    header = int.from_bytes(content[4:8], "little") + int.from_bytes(content[8:12], "little")
    content[header + coefficients.start + 8] ^= 1
    path.write_bytes(content)
    assert main(["-d", str(net)]) == 255
    assert "Check:**FAILED**" in capsys.readouterr().err
    with pytest.raises(DataError, match="check_code"):
        api.verify(net)


def set_output(folder: Path, index: int, value: float) -> None:
    changed = outputs(folder)
    changed[index] = value
    changed.tofile(folder / "output_ref_data.dat")


def test_an_expected_nan_passes_here_and_fails_in_verify(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    set_output(net, 2, np.nan)
    assert main(["-d", str(net)]) == 0
    assert "WARNING:bittrue: expected NaN at index 2" in capsys.readouterr().out
    assert main(["-d", str(net), "--quiet-compat"]) == 0
    assert "bittrue:" not in capsys.readouterr().out
    assert main(["-d", str(net), "--strict"]) == 255
    assert not api.verify(net, layers=False).summary.passed


def test_surplus_bytes_pass_here_and_fail_in_verify(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (net / "output_ref_data.dat").open("ab") as f:
        f.write(bytes(4))
    assert main(["-d", str(net)]) == 0
    assert "4 surplus bytes in the output reference data" in capsys.readouterr().out
    with pytest.raises(DataError, match="expected 40 bytes"):
        api.verify(net)


def test_a_stage_that_is_not_there_passes_here_and_fails_in_verify(
    net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["-d", str(net), "--stage_idx", "7"]) == 0
    text = capsys.readouterr().out
    assert "network #0 is passed, because it hasn't stage idx 7" in text and "nothing was compared" in text
    with pytest.raises(UsageError, match="no stage 7"):
        api.verify(net, stage_idx=7)


@pytest.mark.parametrize("arguments", [["--compare", "0", "-d"], ["--bmodel"]])
def test_without_comparison(net: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    path = net if "-d" in arguments else net / "compilation.bmodel"
    assert main([*arguments, str(path)]) == 0
    text = capsys.readouterr().out
    assert "nothing was compared" in text and "cmp success" not in text and "reading input" not in text


def test_short_reference_data(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (net / "output_ref_data.dat").write_bytes(bytes(12))
    assert main(["-d", str(net)]) == 255
    assert (
        "Failed to fread reference data of net #0, need_bytesize=40, but just 12 bytes left"
        in capsys.readouterr().out.splitlines()[-1]
    )


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ([], 255, "Usage"),
        (["--help"], 255, "Usage"),
        (["-h"], 255, "Usage"),
        (["--version"], 0, "bmrt_test"),
        (["--nonsense"], 134, "Unknown option 63"),
        (["--context_dir"], 134, "Unknown option 63"),
        (["--context_dir", "x", "--bmodel", "y"], 134, "can't use dir and bmodel at the same time"),
        (["--loopnum", "2"], 134, "no context files"),
        (["-d", "x", "-l", "0"], 134, "loopnum should larger than 0"),
        (["-d", "x", "--thread_num=0"], 134, "thread num should larger than 0"),
        (["-d", "x", "-t", "nothing"], 134, "nothing is not a test case"),
        (["-b", "no.txt"], 134, "bmodel_list[no.txt] open failed"),
        (["-d", "/no/such"], 255, "Load bmodel[/no/such/compilation.bmodel] failed"),
    ],
)
def test_options_and_exit_codes(
    arguments: list[str], code: int, text: str, net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == code
    assert text in capsys.readouterr().out


def test_our_options_do_not_shadow_prefixes_of_the_vendors(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(net)
    assert main(["-d", folder, "--st", "0"]) == 0  # --stage_idx, though there is --strict
    assert main(["-d", folder, "--stri"]) == 134
    assert main(["-d", folder, "--quiet"]) == 134
    assert main(["-d", folder, "--s", "0"]) == 134  # stage_idx, shapes, subnet_time
    assert "bmrt_test: option --s not a unique prefix" in capsys.readouterr().err
    assert main(["-d", folder, "--export_output=1"]) == 134
    assert main(["-c", "0", f"--bmodel={folder}/compilation.bmodel", "-pm1", "-i0"]) == 0


def test_cores_that_do_not_exist_are_said(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-d", str(net), "--core_list", "0"]) == 0
    assert "WARNING" not in capsys.readouterr().out
    assert main(["-d", str(net), "--core_list", "0,1:2,3", "--cascade_device=0,1"]) == 0
    assert capsys.readouterr().out.count("only device 0 and core 0 exist here") == 2


def test_prefixes_equals_signs_and_operands(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["operand", f"--context={net}", "--loop", "2", "--calc=2"]) == 0
    text = capsys.readouterr().out
    assert text.count("cmp success") == 2 and text.count("comparing multiple mems") == 2
    assert "Loop num: 2" in text


def test_missing_files(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (net / "output_ref_data.dat").rename(net / "other.dat")
    assert main(["-d", str(net)]) == 255
    assert f"cannot open file {net}/output_ref_data.dat" in capsys.readouterr().out
    assert main(["-d", str(net), "--output_ref", "other.dat"]) == 0
    (net / "compilation.bmodel").write_bytes(b"broken")
    assert main(["-d", str(net)]) == 255
    with pytest.raises(BittrueError):
        api.verify(net)


def test_chip_and_network_selection(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-d", str(net), "--chip", "BM1682"]) == 255
    assert "runtime arch[BM1682] is not the same with bmodel arch[BM1684]" in capsys.readouterr().out
    assert main(["-d", str(net), "--net_idx", "1"]) == 255
    assert "net #1 cannot be found!" in capsys.readouterr().out
    assert main(["-d", str(net), "-a", str(net)]) == 0  # the same name is loaded once
    text = capsys.readouterr().out
    assert "Warning: Net[digits] exist, does not load again" in text and text.count("cmp success") == 1


def test_shapes(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-d", str(net), "--shapes", "[1,1,8,8]"]) == 0
    assert main(["-d", str(net), "--shapes", "[2,1,8,8]"]) == 255
    assert "Shapes of the input tensors are not supported" in capsys.readouterr().out


def test_threads_and_test_cases(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-d", str(net), "--thread_num", "3"]) == 0
    assert "comparing multiple mems" in capsys.readouterr().out
    for name in TEST_CASES:
        assert main(["-d", str(net), "-t", name]) == 0
    assert "API variant" in capsys.readouterr().out


def test_lists_of_folders(net: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "list.txt").write_text(f"#skipped {net}\n")
    assert main(["--bmodel_list", str(tmp_path / "list.txt")]) == 0
    assert "cmp success" in capsys.readouterr().out


def test_files_it_writes(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BMRT_SAVE_IO_TENSORS", "1")
    assert main(["-d", str(net), "--export_output", "--debug_output"]) == 0
    assert (net / "output.dat").read_bytes() == (net / "output_ref_data.dat").read_bytes()
    here = Path.cwd()
    for name in ("input", "output"):
        assert (here / f"{name}_ref_data.dat.bmrt").read_bytes() == (net / f"{name}_ref_data.dat").read_bytes()
    lines = (here / "output_ref_0_float.txt").read_text().splitlines()
    assert lines[:2] == ["float, shape[N, C, H, W]=[1,10,1,1]", "N=0, C=0"]
    assert [float(v) for v in (here / "ref_0.dat").read_text().split()] == pytest.approx(list(outputs(net)), rel=1e-5)
    assert {p.name for p in here.glob("*.txt")} == {
        "input_ref_0_float.txt", "output_0_0_float.txt", "output_ref_0_float.txt",
    }  # fmt: skip


def test_log_threshold(net: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("BMRT_LOG_VERSION", "3")  # INFO stays visible
    assert main(["-d", str(net)]) == 0
    assert "cmp success" in capsys.readouterr().out
    monkeypatch.setenv("BMRT_LOG_VERSION", "-1")
    monkeypatch.setenv("BMRUNTIME_FIRMWARE_PATH", "x")
    assert main(["-d", str(net)]) == 0
    assert "DEBUG:BMRUNTIME_FIRMWARE_PATH" in capsys.readouterr().out


def test_launchers(net: Path, tmp_path: Path) -> None:
    (launcher,) = [p for p in write_shims(tmp_path / "bin") if p.name == "bmrt_test"]
    assert launcher.stat().st_mode & stat.S_IXUSR
    run = subprocess.run([launcher, "--context_dir", net], capture_output=True, text=True, check=False)
    assert run.returncode == 0 and "+++ The network[digits] stage[0] cmp success +++" in run.stdout
    set_output(net, 0, 5.0)
    assert subprocess.run([launcher, "-d", net], capture_output=True, check=False).returncode == 255


@needs_shared
@pytest.mark.parametrize("name", ["single_f32", "single_i8", "multi_stage_w", "all_dtypes", "rec_cnn"])
def test_networks_of_the_vendors_compiler(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert SHARED is not None
    folder = SHARED / "oracle/bm1684/bmodels" / name
    assert main(["--context_dir", str(folder)]) == 0
    passed = capsys.readouterr().out.count("cmp success")
    stages = list(api.find_stage(folder)[0].stages())
    assert passed == len(stages)
    last = stages[-1]
    assert main(["-d", str(folder), "--net_idx", str(last.net_index), "--stage_idx", str(last.stage_index)]) == 0
    assert capsys.readouterr().out.count("cmp success") == 1


def copied(name: str, folder: Path) -> Path:
    """A recorded network that may be changed."""
    assert SHARED is not None
    shutil.copytree(SHARED / "oracle/bm1684/bmodels" / name, folder, copy_function=shutil.copyfile)
    folder.chmod(0o755)
    return folder


@needs_shared
def test_the_worked_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every line of a run, to the character; only times vary."""
    monkeypatch.setattr("os.setpriority", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    copied("single_f32", tmp_path / "single_f32")
    assert main(["--context_dir", "single_f32"]) == 0
    text = re.sub(r"\d+ us", "T us", re.sub(r"(?<=\(s\): )\d+\.\d{6}$", "T", capsys.readouterr().out, flags=re.M))
    values = "".join(f"{v:g} " for v in np.fromfile("single_f32/input_ref_data.dat", np.float32)[:16])
    assert values.startswith("2.5777 2.34093 -1.10175 -2.21576 ")
    tensor = "shape=[ 1 3 16 16 ] dtype=FLOAT32 scale=1 zero_point=0 device_id=0"
    assert (
        text
        == f"""\
[BMRT][deal_with_options:1634] INFO:Loop num: 1
[BMRT][bmrt_test:833] INFO:device_index=0, chip_id=5764
[BMRT][load_bmodel:1967] INFO:Loading bmodel from [single_f32/compilation.bmodel]. Thanks for your patience...
[BMRT][load_bmodel:1730] INFO:Bmodel loaded, version 2.2
[BMRT][load_bmodel:1734] INFO:pre net num: 0, load net num: 1
[BMRT][show_net_info:2535] INFO: ########################
[BMRT][show_net_info:2540] INFO: NetName: copy, Index=0, CoreNum=1
[BMRT][show_net_info:2543] INFO: ---- stage 0 ----
[BMRT][show_net_info:2546] INFO:   Input 0) 'x' {tensor}
[BMRT][show_net_info:2557] INFO:   Output 0) 'y' {tensor}
[BMRT][show_net_info:2567] INFO: ########################
[BMRT][bmrt_test:888] INFO:==> running network #0, name: copy, loop: 0
[BMRT][bmrt_test:944] INFO:reading input #0, bytesize=3072
[BMRT][print_array:756] INFO:  --> input_data: < {values}... > len=768
[BMRT][bmrt_test:1089] INFO:reading output #0, bytesize=3072
[BMRT][print_array:756] INFO:  --> output ref_data: < {values}... > len=768
[BMRT][bmrt_test:1138] INFO:net[copy] stage[0], launch total time is T us (npu T us, cpu T us), \
(launch func time T us, sync T us)
[BMRT][bmrt_test:1146] INFO:+++ The network[copy] stage[0] output_data +++
[BMRT][print_array:756] INFO:output data #0 shape: [1 3 16 16 ] < {values}... > len=768
[BMRT][bmrt_test:1160] INFO:==>comparing output in mem #0 ... \n\
[BMRT][bmrt_test:1193] INFO:+++ The network[copy] stage[0] cmp success +++
[BMRT][bmrt_test:1208] INFO:load input time(s): T
[BMRT][bmrt_test:1209] INFO:pre alloc  time(s): T
[BMRT][bmrt_test:1210] INFO:calculate  time(s): T
[BMRT][bmrt_test:1211] INFO:get output time(s): T
[BMRT][bmrt_test:1212] INFO:compare    time(s): T
"""
    )


@needs_shared
def test_the_worked_example_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.setpriority", lambda *_: None)
    folder = copied("single_f32", tmp_path / "net")
    changed = outputs(folder)
    changed[3] = np.float32(2.78424382209777832031)  # five more than what comes out
    changed[1] = 0.0  # two lines for one element
    changed.tofile(folder / "output_ref_data.dat")
    assert main(["--context_dir", str(folder)]) == 255
    lines = capsys.readouterr().out.splitlines()
    start = lines.index("[BMRT][bmrt_test:1160] INFO:==>comparing output in mem #0 ... ")
    label = "error comparing the last tensor: "
    got = np.fromfile(folder / "input_ref_data.dat", np.float32)[1]
    pair = f"rel warning at index 1 exp {0:.20f} got {got:.20f}"
    assert lines[start + 1 :] == [
        f"[BMRT][array_cmp_fp32:95] WRONG:{label} {pair}",
        f"[BMRT][array_cmp_fp32:101] WRONG:{label} {pair}",
        f"[BMRT][array_cmp_fp32:101] WRONG:{label} rel warning at index 3 "
        "exp 2.78424382209777832031 got -2.21575617790222167969",
        "[BMRT][result_cmp_inner:440] WRONG:comparing #0 output failed!",
        "[BMRT][bmrt_test:1196] FATAL:+++ The network[copy] stage[0] cmp failed +++",
    ]


FALSE_PASSES = [
    ("float32", 0.5, np.nan, 0, "expected NaN at index 0"),
    ("float16", 0.5, np.nan, 0, "expected NaN at index 0"),
    ("float32", np.inf, -np.inf, 0, "infinities of different sign at index 0"),
    ("int32", -(2**31), 0, 0, "integer difference overflow at index 0"),
    ("uint32", 2**31, 0, 0, "integer difference overflow at index 0"),
    ("int32", -(2**31), 2**31 - 1, 1, "integer difference overflow at index 0"),
]


@needs_shared
@pytest.mark.parametrize(("dtype", "made", "expected", "accuracy", "remark"), FALSE_PASSES)
def test_false_passes_both_ways(
    dtype: str, made: float, expected: float, accuracy: int, remark: str,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """The network copies its inputs, so that any value can be made; the reference says another."""
    monkeypatch.setattr("os.setpriority", lambda *_: None)
    folder = copied("all_dtypes", tmp_path / "net")
    io = model_io(read_bmodel(folder / "compilation.bmodel"))[0]
    position = [t.dtype for t in io.inputs].index(dtype)
    assert io.outputs[position].dtype == dtype
    start = sum(t.bytes for t in io.inputs[:position])
    for file, value in (("input_ref_data.dat", made), ("output_ref_data.dat", expected)):
        content = bytearray((folder / file).read_bytes())
        raw = np.array([value]).astype(dtype).tobytes()
        content[start : start + len(raw)] = raw
        (folder / file).write_bytes(content)
    options = ["--accuracy_i", str(accuracy)]
    assert main(["-d", str(folder), *options]) == 0
    text = capsys.readouterr().out
    assert f"WARNING:bittrue: {remark}" in text and "cmp success" in text
    assert main(["-d", str(folder), *options, "--strict"]) == 255
    result = api.verify(folder, accuracy_i=accuracy)
    assert [t.name for t in result.failing] == [io.outputs[position].name]


@needs_shared
def test_a_dynamic_network_cannot_be_launched(capsys: pytest.CaptureFixture[str]) -> None:
    assert SHARED is not None
    assert main(["-d", str(SHARED / "oracle/bm1684/bmodels/lstm_dynamic")]) == 255
    assert "launch failed" in capsys.readouterr().out
