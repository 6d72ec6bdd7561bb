"""Labels of detection data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bittrue.audit.detection.labels import read_labels
from bittrue.errors import DataError

OBJECT = """<object><name>{name}</name><difficult>{difficult}</difficult>
<bndbox><xmin>11</xmin><ymin>21</ymin><xmax>30</xmax><ymax>50</ymax></bndbox></object>"""


def voc(path: Path, *objects: str, size: tuple[int, int] = (100, 80)) -> Path:
    width, height = size
    path.write_text(
        f"<annotation><size><width>{width}</width><height>{height}</height></size>{''.join(objects)}</annotation>"
    )
    return path


def coco(path: Path, **changes: object) -> Path:
    content = {
        "images": [{"id": 7, "file_name": "a.jpg", "width": 100, "height": 80}],
        "categories": [{"id": 3, "name": "dog"}],
        "annotations": [
            {"image_id": 7, "category_id": 3, "bbox": [10, 20, 20, 30]},
            {"image_id": 7, "category_id": 3, "bbox": [0, 0, 5, 5], "iscrowd": 1},
        ],
    }
    path.write_text(json.dumps({**content, **changes}))
    return path


def test_voc_pixels_become_continuous(tmp_path: Path) -> None:
    voc(tmp_path / "a.xml", OBJECT.format(name="dog", difficult=0), OBJECT.format(name="cat", difficult=1))
    truth = read_labels(tmp_path, ["cat", "dog"])("sub/a.jpg", (100, 80))
    assert truth.boxes.tolist() == [[10, 20, 30, 50]] * 2  # 20 x 30 pixels, first and last included
    assert truth.classes.tolist() == [1, 0] and truth.ignored.tolist() == [False, True] and not truth.crowd.any()


def test_coco_boxes_and_crowds(tmp_path: Path) -> None:
    path = coco(tmp_path / "a.json")
    for labels, number in ((read_labels(path), 3), (read_labels(path, ["cat", "dog"]), 1)):
        truth = labels("a.jpg", (100, 80))
        assert truth.boxes.tolist() == [[10, 20, 30, 50], [0, 0, 5, 5]]
        assert truth.classes.tolist() == [number] * 2 and truth.crowd.tolist() == [False, True]


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda p: voc(p / "a.xml", OBJECT.format(name="bird", difficult=0)), "a.xml: class 'bird' is none of the 2"),
        (lambda p: voc(p / "b.xml"), "no labels of 'a.jpg'"),
        (lambda p: voc(p / "a.xml", size=(80, 100)), "labels of 80 x 100 pixels, the picture has 100 x 80"),
        (lambda p: (p / "a.xml").write_text("<annotation>"), "a.xml: not a VOC annotation"),
        (lambda p: voc(p / "a.xml", "<object><name>dog</name></object>"), "an object without bndbox"),
        (lambda p: voc(p / "a.xml", OBJECT.format(name="dog", difficult=0).replace("11", "x")), "xmin 'x' of bndbox"),
    ],
)
def test_broken_voc_labels_name_the_file(tmp_path: Path, write: object, words: str) -> None:
    write(tmp_path)  # type: ignore[operator]
    with pytest.raises(DataError, match=words):
        read_labels(tmp_path, ["cat", "dog"])("a.jpg", (100, 80))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": []}, "not COCO annotations"),
        ({"annotations": [{"image_id": 7}]}, "not COCO annotations .KeyError: 'bbox'"),
        ({"annotations": 5}, "not COCO annotations"),
        ({"categories": [{"id": 3, "name": "bird"}]}, "class 'bird' is none"),
    ],
)
def test_broken_coco_labels_name_the_file(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_labels(coco(tmp_path / "c.json", **changes), ["dog"])


def test_pictures_without_labels_and_other_sizes(tmp_path: Path) -> None:
    labels = read_labels(coco(tmp_path / "c.json"))
    with pytest.raises(DataError, match=r"no labels of 'b\.jpg'"):
        labels("b.jpg", (100, 80))
    with pytest.raises(DataError, match="labels of 100 x 80 pixels, the picture has 1 x 1"):
        labels("a.jpg", (1, 1))
    np.savez(tmp_path / "x.npz", a=1)
    with pytest.raises(DataError, match="neither a folder of VOC"):
        read_labels(tmp_path / "x.npz")
