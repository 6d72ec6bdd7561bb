"""Top-k with the vendor's rule for ties, paired counts, and where labels come from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittrue.audit.classify import Classification, classify
from bittrue.audit.labels import FileLabels, Labelled, PatternLabels, read_classes
from bittrue.audit.networks import Network
from bittrue.calibrate.data import Record
from bittrue.errors import DataError, UsageError


def network(name: str, scores: np.ndarray) -> Network:
    """Answers with the rows of `scores` that the input names."""

    def run(feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"y": scores[feeds["x"].astype(int)], "z": -scores[feeds["x"].astype(int)]}

    return Network(name, run, ("y", "z"))


def classified(
    f: np.ndarray, q: np.ndarray, labels: np.ndarray | None, batch: int = 1, **options: object
) -> Classification:
    numbers = np.arange(len(f)).reshape(-1, batch)
    records = [Record(f"r{n[0]}", {"x": n}, None if labels is None else labels[n]) for n in numbers]
    return classify(network("float", f), network("quantized", q), records, **options)  # type: ignore[arg-type]


def places(scores: np.ndarray, label: int) -> tuple[int, int]:
    """The first and the last place of a class in a ranking in which equal scores may stand in any order."""
    ranking = sorted(scores.tolist(), reverse=True)
    return ranking.index(scores[label]) + 1, len(ranking) - ranking[::-1].index(scores[label])


@given(st.integers(0, 2**32 - 1))
def test_a_label_counts_if_fewer_than_k_scores_are_greater(seed: int) -> None:
    rng = np.random.default_rng(seed)
    f, q = rng.integers(0, 4, (2, 12, 6)).astype(np.float32)
    labels = rng.integers(0, 6, 12)
    result = classified(f, q, labels, batch=3, topk=(1, 2, 4))
    for rate in result.rates:
        places_f, places_q = ([places(s, label) for s, label in zip(side, labels, strict=True)] for side in (f, q))
        right_f, right_q = ([p[0] <= rate.k for p in side] for side in (places_f, places_q))
        assert rate.right == {"float": sum(right_f), "quantized": sum(right_q)}
        assert rate.ties["float"] == sum(first <= rate.k < last for first, last in places_f)
        assert rate.ties["quantized"] == sum(first <= rate.k < last for first, last in places_q)
        assert rate.lost == sum(a and not b for a, b in zip(right_f, right_q, strict=True))
        assert rate.gained == sum(b and not a for a, b in zip(right_f, right_q, strict=True))
        assert rate.drop == pytest.approx(rate.share("float") - rate.share("quantized"))
    assert result.flips == sum(a.argmax() != b.argmax() for a, b in zip(f, q, strict=True))
    assert [row["sample"] for row in result.flipped] == [
        i for i in range(12) if f[i].argmax() != q[i].argmax()
    ]  # fmt: skip


def test_without_labels_only_flips_are_known() -> None:
    f, q = np.eye(3), np.eye(3)[[0, 2, 2]]
    result = classified(f, q, None)
    assert (result.flips, result.labelled, result.as_dict()["rates"]) == (1, 0, [])
    assert result.flipped == [
        {"sample": 1, "key": "r1", "label": None, "float": 1, "quantized": 2, "margin": 1.0, "quantized_margin": 1.0}
    ]
    with pytest.raises(DataError, match="top-k needs labelled data"):
        result.rate(1)


def test_another_output_may_hold_the_scores() -> None:
    f = np.eye(3)
    assert classified(f, f, np.arange(3), output="z", topk=(1,)).rate(1).share("float") == 0
    with pytest.raises(DataError, match="no output 'w'; it has y, z"):
        classified(f, f, np.arange(3), output="w")
    with pytest.raises(DataError, match="top-5 was not counted; --topk 1,2"):
        classified(f, f, np.arange(3), topk=(1, 2)).rate(5)


@pytest.mark.parametrize(
    ("labels", "words"),
    [(np.asarray([0, 3, 1]), "r1: label 3, the network has 3 classes"), (np.asarray([0, -1, 1]), "r1: label -1")],
)
def test_labels_that_are_no_class_are_refused(labels: np.ndarray, words: str) -> None:
    with pytest.raises(DataError, match=words):
        classified(np.eye(3), np.eye(3), labels)


def test_scores_that_are_no_numbers_are_refused() -> None:
    broken = np.eye(3)
    broken[1, 1] = np.nan
    with pytest.raises(DataError, match="r1: quantized returns scores that are no numbers"):
        classified(np.eye(3), broken, np.arange(3))
    with pytest.raises(DataError, match="no samples"):
        classified(np.zeros((0, 3)), np.zeros((0, 3)), None)


def keyed(*keys: str) -> list[Record]:
    return [Record(key, {"x": np.zeros((2 if key == "pair" else 1, 1))}) for key in keys]


def found(rule: FileLabels | PatternLabels, *keys: str) -> list[list[int]]:
    return [list(r.labels) for r in Labelled(keyed(*keys), rule) if r.labels is not None]


def test_labels_by_name_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("sub/a.png 4\nb b.png 5\n\n")
    assert found(FileLabels(path), "sub/a.png", "other/b b.png") == [[4], [5]]
    path.write_text("1\n2\n3\n")
    assert found(FileLabels(path), "a", "pair") == [[1], [2, 3]]
    np.save(tmp_path / "labels.npy", np.asarray([6, 7]))
    assert found(FileLabels(tmp_path / "labels.npy"), "a", "b") == [[6], [7]]


def test_labels_in_names(tmp_path: Path) -> None:
    assert found(PatternLabels(r"_(\d+)\."), "x_12.png", "d/y_3.jpg") == [[12], [3]]
    (tmp_path / "names.txt").write_text("n01 tench, Tinca\nn02 goldfish\n")
    names = read_classes(tmp_path / "names.txt")
    assert found(PatternLabels("^([^/]+)/", names), "n02/a.png", "n01/b.png") == [[1], [0]]


@pytest.mark.parametrize(
    ("text", "keys", "words"),
    [
        ("a.png 1\n", ["b.png"], "no label of 'b.png'"),
        ("1\n2\n", ["a", "pair"], "2 labels, the data has more samples"),
        ("a.png x\n", [], "neither `NAME LABEL` lines nor one number a line"),
        ("a.png 1\n2\n", [], "one of them"),
        ("", [], "one of them"),
    ],
)
def test_broken_label_files_name_themselves(tmp_path: Path, text: str, keys: list[str], words: str) -> None:
    path = tmp_path / "labels.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=words) as e:
        found(FileLabels(path), *keys)
    assert str(path) in str(e.value)


def test_broken_label_rules(tmp_path: Path) -> None:
    np.save(tmp_path / "labels.npy", np.zeros((2, 2)))
    for path, words in ((tmp_path / "labels.npy", "not a list of whole numbers"), (tmp_path / "none", "neither")):
        with pytest.raises(DataError, match=words):
            FileLabels(path)
    for pattern, error in (("(", "not a regular expression"), ("abc", "a group in brackets")):
        with pytest.raises(UsageError, match=error):
            PatternLabels(pattern)
    with pytest.raises(DataError, match=r"'a\.png' has no label"):
        found(PatternLabels(r"_(\d+)"), "a.png")
    with pytest.raises(DataError, match=r"'dog/a\.png' is no class: dog"):
        found(PatternLabels("^([^/]+)/", ["cat"]), "dog/a.png")
    with pytest.raises(DataError, match="not a list of classes"):
        read_classes(tmp_path / "none")
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(DataError, match="names no class"):
        read_classes(tmp_path / "empty")
