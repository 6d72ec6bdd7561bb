"""Several folders, networks and stages: numbering, seeks, shapes, and what ends a run."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.vendor.tiny_networks import joined_dir, relu_dir, spoil

from bittrue import api
from bittrue.containers.bmodel import read_bmodel, write_bmodel
from bittrue.runtime.session import Session
from bittrue.vendor.sophgo.bmrt.tester import main

ONE, FOUR = (1, 3, 2, 2), (4, 3, 2, 2)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`two`: network a with stages of batch 1 and 4, then b; `other`: a again, then c."""
    root = tmp_path_factory.mktemp("nets")
    joined_dir(root / "two", ("a", ONE), ("a", FOUR), ("b", ONE))
    joined_dir(root / "other", ("a", ONE), ("c", ONE))
    relu_dir(root / "single", "s")
    return root


@pytest.fixture
def nets(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copies that may be changed; the current folder is another one; the priority stays."""
    shutil.copytree(made, tmp_path / "nets")
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setattr("os.setpriority", lambda *_: None)
    return tmp_path / "nets"


def stages(text: str) -> list[str]:
    return re.findall(r"network(\[.*\] stage\[.*\]) cmp success", text)


def test_all_networks_of_all_folders_run_in_order(nets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-d", str(nets / "two"), "-a", str(nets / "other"), "-a", str(nets / "single")]) == 0
    text = capsys.readouterr().out
    assert stages(text) == ["[a] stage[0]", "[a] stage[1]", "[b] stage[0]", "[c] stage[0]", "[s] stage[0]"]
    assert re.findall(r"running network #(\d), name: (.)", text) == [("0", "a"), ("1", "b"), ("2", "c"), ("3", "s")]
    loads = re.findall(r"pre net num: (\d), load net num: (\d)", text)
    assert loads == [("0", "2"), ("2", "1"), ("3", "1")] and "Warning: Net[a] exist, does not load again" in text
    assert "bittrue:" not in text


FLOATS = 12  # of one sample


@pytest.mark.parametrize(
    ("selection", "reads", "passed"),
    [
        (["--net_idx", "0"], range(0, 5 * FLOATS), ["[a] stage[0]", "[a] stage[1]"]),
        (["--net_idx", "1"], range(5 * FLOATS, 6 * FLOATS), ["[b] stage[0]"]),
        (["--stage_idx", "0"], [*range(FLOATS), *range(5 * FLOATS, 6 * FLOATS)], ["[a] stage[0]", "[b] stage[0]"]),
        (["--stage_idx", "1"], range(FLOATS, 5 * FLOATS), ["[a] stage[1]"]),
        (["--net_idx", "0", "--stage_idx", "1"], range(FLOATS, 5 * FLOATS), ["[a] stage[1]"]),
        (["--stage_idx", "1", "--shapes", "[4,3,2,2]"], range(FLOATS, 5 * FLOATS), ["[a] stage[1]"]),
    ],
)
def test_a_selection_reads_its_own_part_of_the_files(
    nets: Path, selection: list[str], reads: list[int], passed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """All data that the selection must not read is spoilt; one value that it must read is spoilt after that."""
    folder = nets / "two"
    for file in ("input_ref_data.dat", "output_ref_data.dat"):
        data = np.fromfile(folder / file, np.float32)
        data[[k for k in range(data.size) if k not in reads]] = 99 if file.startswith("input") else -99
        data.tofile(folder / file)
    assert main(["-d", str(folder), *selection]) == 0
    assert stages(capsys.readouterr().out) == passed
    spoil(folder, list(reads)[-1], 77)
    assert main(["-d", str(folder), *selection]) == 255


def test_a_selection_in_the_second_folder(nets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil(nets / "two", 0, 9)
    spoil(nets / "other", 0, 9)  # of network a, which is not loaded from here
    assert main(["-d", str(nets / "two"), "-d", str(nets / "other"), "--net_idx", "2"]) == 0
    assert stages(capsys.readouterr().out) == ["[c] stage[0]"]


def test_the_first_failing_stage_ends_the_run_but_not_verify(nets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = nets / "two"
    spoil(folder, FLOATS, 9)
    spoil(folder, -1, 9)
    assert main(["-d", str(folder)]) == 255
    captured = capsys.readouterr()
    assert stages(captured.out) == ["[a] stage[0]"] and "[b]" not in captured.out
    assert captured.out.splitlines()[-1].endswith("FATAL:+++ The network[a] stage[1] cmp failed +++")
    assert captured.err.count("============ check net[") == 3
    result = api.verify(folder, layers=False)
    assert [(n.name, n.stage, n.passed) for n in result.nets] == [("a", 0, True), ("a", 1, False), ("b", 0, False)]


def test_shapes(nets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    single, two = str(nets / "single"), str(nets / "two")
    assert main(["-d", single, "--shapes", "[1,12]"]) == 0  # one stage: the count of elements is enough
    assert main(["-d", single, "--shapes", "[1,12]", "--output_shapes", "[12]"]) == 0
    assert main(["-d", two, "--net_idx", "0", "--shapes", "[1,3,2,2]"]) == 0
    assert stages(capsys.readouterr().out)[-1:] == ["[a] stage[0]"]
    for folder, options in (
        (single, ["--shapes", "[1,13]"]),
        (single, ["--shapes", "[1,3,2,2],[1]"]),
        (single, ["--output_shapes", "[13]"]),
        (two, ["--net_idx", "0", "--shapes", "[1,12]"]),
    ):
        assert main(["-d", folder, *options]) == 255
        assert "WRONG:Shapes of the input tensors are not supported" in capsys.readouterr().out


def test_one_device_has_one_chip(nets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "x"
    shutil.copytree(nets / "single", other)
    model = read_bmodel(other / "compilation.bmodel")
    model.root.chip = "BM1684X"
    write_bmodel(model, other / "compilation.bmodel")
    assert main(["-d", str(nets / "single"), "-d", str(other)]) == 255
    assert "runtime arch[BM1684] is not the same with bmodel arch[BM1684X]" in capsys.readouterr().out
    assert main(["-d", str(other)]) == 0
    assert f"chip_id={0x1686}" in capsys.readouterr().out


def test_repetitions_and_threads(
    nets: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(nets / "single")
    runs = []
    original = Session.run

    def counted(self: Session, *arguments: object, **options: object) -> object:
        runs.append(id(self))
        result = original(self, *arguments, **options)  # type: ignore[arg-type]
        if len(runs) == drifts_at:
            result.outputs["y"] = result.outputs["y"] + np.float32(1)
        return result

    monkeypatch.setattr(Session, "run", counted)
    drifts_at = 0
    assert main(["-d", folder, "--calculate_times", "3", "-t", "bmrt_multi_thread", "--thread_num", "2"]) == 0
    assert len(runs) == 6 and len(set(runs)) == 2
    runs.clear()
    drifts_at = 2
    assert main(["-d", folder, "--calculate_times", "3"]) == 255
    assert "mem_idx=1 compare failed with mem 0!" in capsys.readouterr().out
    assert Path("mem1_output0.dat").is_file() and not Path("mem2_output0.dat").exists()
    runs.clear()
    assert main(["-d", folder, "--calculate_times", "3", "--only_cmp_last"]) == 0
    assert "multiple mems" not in capsys.readouterr().out and len(runs) == 3
