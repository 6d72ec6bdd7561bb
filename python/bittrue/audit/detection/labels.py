"""Labels of detection data: VOC's XML files or COCO's JSON file.

Boxes become continuous pixels: VOC counts pixels from 1 and includes the last one, so xmin and ymin lose one.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath

from bittrue.audit.detection.average_precision import Truth
from bittrue.errors import DataError

# (key of a picture, its width and height) -> what is in it
Labels = Callable[[str, tuple[int, int]], Truth]


def read_labels(path: Path, classes: Sequence[str] = ()) -> Labels:
    """Labels of a folder of VOC XML files (or of one), or of a COCO JSON file.

    classes: names of the network's classes by number; VOC needs them, COCO's category numbers count as the network's
    without. Raises DataError for broken files and names that are not in `classes`; so do the labels for pictures that
    have none, or that have another size than the labels say.
    """
    if path.is_dir() or path.suffix.lower() == ".xml":
        return lambda key, size: _voc(path, key, size, classes)
    if path.suffix.lower() != ".json":
        raise DataError(f"{path}: neither a folder of VOC .xml files nor a COCO .json file")
    return _coco(path, classes)


def _number(name: str, classes: Sequence[str], where: str) -> int:
    if name not in classes:
        raise DataError(f"{where}: class '{name}' is none of the {len(classes)} given")
    return list(classes).index(name)


def _check_size(where: str, stated: tuple[int, int], size: tuple[int, int]) -> None:
    if stated != size:
        raise DataError(f"{where}: labels of {stated[0]} x {stated[1]} pixels, the picture has {size[0]} x {size[1]}")


def _voc(path: Path, key: str, size: tuple[int, int], classes: Sequence[str]) -> Truth:
    file = path / PurePath(key).with_suffix(".xml") if path.is_dir() else path
    if not file.is_file() and path.is_dir():
        file = path / f"{PurePath(key).stem}.xml"
    try:
        root = ElementTree.parse(file).getroot()
    except FileNotFoundError as e:
        raise DataError(f"{path}: no labels of '{key}'") from e
    except (OSError, ElementTree.ParseError, ValueError) as e:
        raise DataError(f"{file}: not a VOC annotation ({e})") from e

    def value(element: ElementTree.Element, name: str) -> float:
        text = element.findtext(name)
        try:
            return float(text or "")
        except ValueError:
            raise DataError(f"{file}: {name} '{text}' of {element.tag} is no number") from None

    stated = root.find("size")
    if stated is not None:
        _check_size(str(file), (int(value(stated, "width")), int(value(stated, "height"))), size)
    boxes, numbers, difficult = [], [], []
    for item in root.iter("object"):
        box = item.find("bndbox")
        if box is None:
            raise DataError(f"{file}: an object without bndbox")
        boxes.append([value(box, "xmin") - 1, value(box, "ymin") - 1, value(box, "xmax"), value(box, "ymax")])
        numbers.append(_number((item.findtext("name") or "").strip(), classes, str(file)))
        difficult.append((item.findtext("difficult") or "").strip() == "1")
    return Truth.of(boxes, numbers, difficult)


def _coco(path: Path, classes: Sequence[str]) -> Labels:
    try:
        content = json.loads(path.read_text())
        names = {c["id"]: c["name"] for c in content.get("categories", [])}
        pictures = {i["file_name"]: i for i in content["images"]}
        of_picture: dict[int, list[tuple[list[float], int, bool]]] = {i["id"]: [] for i in content["images"]}
        for a in content["annotations"]:
            x, y, w, h = map(float, a["bbox"])
            number = a["category_id"]
            if classes:
                number = _number(names[number], classes, str(path))
            of_picture[a["image_id"]].append(([x, y, x + w, y + h], number, bool(a.get("iscrowd", 0))))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        raise DataError(f"{path}: not COCO annotations ({type(e).__name__}: {e})") from e

    def labels(key: str, size: tuple[int, int]) -> Truth:
        picture = pictures.get(key) or pictures.get(PurePath(key).name)
        if picture is None:
            raise DataError(f"{path}: no labels of '{key}'")
        if "width" in picture and "height" in picture:
            _check_size(f"{path}: '{key}'", (picture["width"], picture["height"]), size)
        rows = of_picture[picture["id"]]
        return Truth.of([b for b, _, _ in rows], [c for _, c, _ in rows], crowd=[k for _, _, k in rows])

    return labels
