"""`bittrue verify` beside judging: the vendor's rule, runs without reference, a second look."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.commands import Command, command
from tests.vendor.tiny_networks import joined_dir, spoil

from bittrue import api
from bittrue.verify.policy import tolerance, vendor_rule
from bittrue.verify.second_look import element_lines, only_order_differs


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("modes")
    joined_dir(root / "two", ("a", (1, 3, 2, 2)), ("a", (2, 3, 2, 2)), ("b", (1, 3, 2, 2)))
    return root


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "two", tmp_path / "two"))


@pytest.fixture
def verify(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return command(monkeypatch, capsys, "verify")


def test_the_vendors_rule(folder: Path, verify: Command) -> None:
    """It passes an expected NaN and small differences, and refuses large ones; the exact rule refuses all."""
    spoil(folder, 3, np.nan)
    data = np.fromfile(folder / "output_ref_data.dat", np.float32)
    largest = int(np.nanargmax(data))
    spoil(folder, largest, float(data[largest]) * 1.005)
    assert api.verify(folder, policy=vendor_rule()).summary.passed
    assert not api.verify(folder, policy=tolerance(0.01)).summary.passed
    assert not api.verify(folder, policy=vendor_rule(0.001)).summary.passed
    assert verify("-d", folder, "--vendor")[0] == 0
    assert verify("-d", folder)[0] == 1
    spoil(folder, largest, 99)
    assert verify("-d", folder, "--vendor")[0] == 1
    code, text = verify("-d", folder, "--vendor", "--policy", "x")
    assert code == 2 and "give one of them" in text


def test_runs_without_reference(folder: Path, tmp_path: Path, verify: Command) -> None:
    (folder / "output_ref_data.dat").unlink()
    code, text = verify("-d", folder, "--run-only", "--net_idx", 0)
    assert code == 0 and "verify: 2 stages ran on the reference inputs, nothing was compared" in text
    assert "net[a] stage[1] output 'y': float32 [2, 3, 2, 2] sha256 " in text
    (folder / "input_ref_data.dat").unlink()
    assert "3 stages ran on zero input" in verify("-d", folder, "--run-only")[1]
    assert verify("-d", folder, "--run-only", "--stage_idx", 4)[0] == 2
    code, text = verify("-d", folder, "--run-only", "--json", tmp_path / "r.json")
    assert code == 2 and "--run-only and --json" in text and not (tmp_path / "r.json").exists()


def test_elements_and_order(folder: Path, verify: Command) -> None:
    data = np.fromfile(folder / "output_ref_data.dat", np.float32)
    data[12:36].reshape(2, 3, 2, 2)[:] = data[12:36].reshape(2, 3, 2, 2)[:, :, ::-1].copy()  # rows of stage 1
    right = data[0]
    data[0] += 7
    data[2] += 7
    data.tofile(folder / "output_ref_data.dat")
    code, text = verify("-d", folder, "--max-errors", 1, "--tie-report")
    assert code == 1 and f"net[a] stage[0] output 'y' [0, 0, 0, 0]: expected {data[0]}, got {right}" in text
    assert "net[a] stage[0] output 'y' and 1 more" in text
    code, text = verify("-d", folder, "--stage_idx", 1, "--tie-report")
    assert code == 1 and "order differs, values equal" in text and "expected" not in text


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1)), min_size=1, max_size=6), st.randoms())
def test_rows_in_another_order(rows: list[tuple[int, int]], random: object) -> None:
    e = np.array(rows, np.float32)
    order = list(range(len(rows)))
    random.shuffle(order)  # type: ignore[attr-defined]
    g = e[order]
    assert only_order_differs(e, g) == (e != g).any()
    assert only_order_differs(e[None], g[None]) == (e != g).any()
    g[0, 0] += 1
    assert not only_order_differs(e, g) or sorted(map(tuple, e)) == sorted(map(tuple, g))


def test_order_within_a_tolerance_and_within_blocks() -> None:
    e, g = np.float32([1.0, 2.0]), np.float32([2.0, 1.001])
    assert not only_order_differs(e, g) and only_order_differs(e, g, tolerance(0.01))
    assert only_order_differs(np.int8([5, 7, 5]), np.int8([7, 5, 5]))
    blocks = np.arange(8).reshape(2, 2, 2)
    assert only_order_differs(blocks, blocks[:, ::-1]) and not only_order_differs(blocks, blocks[::-1])
    assert not only_order_differs(e, g[:1]) and not only_order_differs(e, e)


def test_lines_of_elements() -> None:
    e, g = np.int8([[1, 2], [3, 4]]), np.int8([[1, 0], [0, 0]])
    assert element_lines(e, g, 2) == ["[0, 1]: expected 2, got 0", "[1, 0]: expected 3, got 0", "and 1 more"]
    assert len(element_lines(e, g, 9)) == 3 and element_lines(e, e, 9) == []
