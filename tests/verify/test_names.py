"""Name maps and matching by values: what is used, what is refused, what is reported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.verify.dumps import archive, run, write_map

from bittrue.cli.compare import compare_command
from bittrue.errors import BittrueError, DataError, UsageError
from bittrue.verify.by_values import match_by_values
from bittrue.verify.layouts import PLAIN, parse_layout
from bittrue.verify.names import NameMap, load_map, resolve

RNG = np.random.default_rng(3)


def names(dump: list[str], tensors: list[str] | None = None, layers: dict[str, str] | None = None, **content: object):
    return resolve(NameMap.model_validate({"schema": "bittrue-map/1", **content}), dump, tensors, layers)


def test_table_then_patterns_then_own_names_then_layers() -> None:
    found = names(
        ["L01_conv1", "out7", "relu", "node3"],
        ["conv1", "seven", "relu", "x3"],
        {"node3": "x3", "relu": "never"},
        names={"out7": "seven"},
        patterns=[{"from": r"L\d+_(.*)", "to": r"\1"}],
    )
    assert found.dump_of == {"conv1": "L01_conv1", "seven": "out7", "relu": "relu", "x3": "node3"}
    assert found.notes == ["layer names taken for the tensors of these layers: node3 -> x3"]


def test_names_of_the_map_may_be_layers_too() -> None:
    found = names(["a"], ["x"], {"conv": "x"}, names={"a": "conv"})
    assert found.dump_of == {"x": "a"} and found.notes


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ({"names": {"gone": "a"}}, UsageError, "unused.*names.gone"),
        ({"patterns": [{"from": "gone_.*", "to": "a"}]}, UsageError, "unused.*patterns.gone_"),
        ({"layouts": [{"name": "gone*", "layout": "NHWC"}]}, UsageError, r"unused.*layouts.gone\*"),
        ({"scales": {"gone": 0.5}}, UsageError, "unused.*scales.gone"),
        ({"names": {"a": "typo"}}, UsageError, "no tensor or layer 'typo'"),
        ({"names": {"b": "a"}}, DataError, "'a' and 'b' are both tensor 'a'"),
        ({"patterns": [{"from": "(a)", "to": r"\2"}]}, UsageError, "does not fit"),
    ],
)
def test_entries_that_do_not_fit_are_refused(
    content: dict[str, object], error: type[BittrueError], message: str
) -> None:
    with pytest.raises(error, match=message):
        names(["a", "b"], ["a", "b"], **content)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("schema: bittrue-policy/1", "not a name map"),
        ("schema: bittrue-map/1\nname: {a: b}", "name: Extra"),
        ("schema: bittrue-map/1\nnames: {a: b}\nnames: {a: c}", "'names' stands twice"),
        ("schema: bittrue-map/1\nnames: {a: b, a: c}", "'a' stands twice"),
        ("schema: bittrue-map/1\npatterns: [{from: '(', to: x}]", "not a regular expression"),
        ("schema: bittrue-map/1\nlayouts: [{name: x, layout: NWHC}]", "layout 'NWHC' is not known"),
        ("schema: bittrue-map/1\nscales: {x: -1}", "greater than 0"),
        ("schema: bittrue-map/1\nscales: {x: .inf}", "finite"),
        ("schema: [", "YAML"),
    ],
)
def test_bad_maps_name_the_key(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "map.yaml").write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        load_map(tmp_path / "map.yaml")
    assert "map.yaml" in str(caught.value)
    with pytest.raises(DataError, match="absent"):
        load_map(tmp_path / "absent.yaml")


def test_unused_entries_end_with_exit_code_2_and_two_names_for_one_tensor_with_4(tmp_path: Path) -> None:
    ref = archive(tmp_path / "ref.npz", {"a": np.ones(3)})
    got = archive(tmp_path / "got.npz", {"a": np.ones(3), "b": np.ones(3)})
    assert run(compare_command, ref, got, "--map", write_map(tmp_path, names={"zz": "a"}))[0] == 2
    assert run(compare_command, ref, got, "--map", write_map(tmp_path, names={"b": "a"}))[0] == 4


def test_names_that_match_nothing_are_listed(tmp_path: Path) -> None:
    ref = archive(tmp_path / "ref.npz", {"a": np.ones(3), "only_ref": np.ones(3)})
    got = archive(tmp_path / "got.npz", {"x": np.ones(3), "only_got": np.ones(3)})
    code, text = run(compare_command, ref, got, "--map", write_map(tmp_path, names={"x": "a"}), "-v")
    assert code == 1
    lines = {words[1]: words[2] for words in (line.split() for line in text.splitlines()) if len(words) > 2}
    assert (lines["a"], lines["only_ref"], lines["only_got"]) == ("EQUAL", "MISSING", "EXTRA")


def test_matching_by_values_finds_layouts_and_reports_every_pair(tmp_path: Path) -> None:
    a, b = RNG.normal(size=(1, 3, 4, 5)).astype(np.float32), RNG.normal(size=(1, 3, 4, 5)).astype(np.float32)
    ref = archive(tmp_path / "ref.npz", {"a": a, "b": b})
    got = archive(tmp_path / "got.npz", {"1": b.transpose(0, 2, 3, 1), "2": a.transpose(0, 2, 3, 1)})
    assert run(compare_command, ref, got)[0] == 1
    code, text = run(compare_command, ref, got, "--layout", "NHWC", "--match-by-values")
    assert code == 0
    assert "matched by values, not by name: dump '2' is tensor 'a' in layout NHWC, correlation 1.000000" in text
    assert "dump '1' is tensor 'b'" in text


def test_what_fits_twice_is_not_matched() -> None:
    a = RNG.normal(size=(2, 8))
    layouts = [PLAIN, parse_layout("NHWC")]
    pairs, remarks = match_by_values({"d": a}, {"x": a, "y": a * 2 + 1}, layouts)
    assert not pairs and "'d' has the values of tensor 'x', but so has y" in remarks[0]
    pairs, remarks = match_by_values({"d": a, "e": a}, {"x": a}, layouts)
    assert not pairs and len(remarks) == 2
    assert match_by_values({"d": np.ones((2, 8))}, {"x": np.ones((2, 8))}, layouts) == ([], [])  # constants
    assert match_by_values({"d": a.reshape(4, 4)}, {"x": a}, layouts) == ([], [])  # another shape
    noisy = a + RNG.normal(size=a.shape)
    assert match_by_values({"d": noisy}, {"x": a}, layouts) == ([], [])


def test_similar_tensors_go_to_the_better_one() -> None:
    a = RNG.normal(size=1000)
    near = a + 0.2 * RNG.normal(size=1000)  # correlation about 0.98
    pairs, remarks = match_by_values({"d": a, "e": near}, {"x": a, "y": near}, [PLAIN])
    assert {(p.dump, p.tensor) for p in pairs} == {("d", "x"), ("e", "y")} and not remarks
