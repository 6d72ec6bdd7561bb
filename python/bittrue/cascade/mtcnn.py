"""MTCNN: three networks that find faces and five landmarks in each (Zhang et al., Joint Face Detection and Alignment
using Multi-task Cascaded Convolutional Networks, 2016; steps and constants as in the authors' published code).

pnet runs on a pyramid of the picture and proposes boxes, rnet and onet look at them enlarged to 24 and 48 pixels. The
published networks take red, green, blue as (value - 127.5) / 128 with x and y exchanged: (1, 3, W, H).

Boxes are (xmin, ymin, xmax, ymax) in pixels, edges from 0 to width and height.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from bittrue.audit.detection.boxes import Detections
from bittrue.audit.networks import Network
from bittrue.cascade.boxes import kept, moved, squared
from bittrue.errors import DataError

Array = np.ndarray[Any, Any]
CELL, STRIDE = 12, 2  # pixels that a cell of pnet's map sees, and pixels from cell to cell
PROBABILITY = "prob1"
RNET, ONET = 24, 48  # sides of their inputs


@dataclass(frozen=True)
class Options:
    """smallest: side of the smallest face in pixels. factor: from one step of the pyramid to the next. thresholds:
    lowest scores that pnet, rnet and onet let pass. transposed: the networks see x and y exchanged."""

    smallest: int = 20
    factor: float = 0.709
    thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7)
    transposed: bool = True


def detect(
    pnet: Network, rnet: Network, onet: Network, picture: Image.Image, options: Options | None = None
) -> Detections:
    """Faces of a picture with five landmarks each (eyes, nose, corners of the mouth), the best score first.

    The networks are float or quantized ones (`bittrue.audit.networks`); pnet takes any size. Raises DataError for
    networks without the outputs of MTCNN.
    """
    options = options or Options()
    picture = picture.convert("RGB")
    boxes, scores, offsets = _proposals(pnet, picture, options)
    boxes = squared(moved(boxes, offsets))

    scores, (offsets,) = _looked_at(rnet, "conv5-2", (), picture, boxes, RNET, options)
    pick = np.flatnonzero(scores > options.thresholds[1])
    pick = pick[kept(boxes[pick], scores[pick], 0.7)]
    boxes = squared(moved(boxes[pick], offsets[pick]))

    scores, (offsets, marks) = _looked_at(onet, "conv6-2", ("conv6-3",), picture, boxes, ONET, options)
    pick = np.flatnonzero(scores > options.thresholds[2])
    boxes, scores, offsets, marks = boxes[pick], scores[pick], offsets[pick], marks[pick]
    # five x, then five y, in fractions of the box that onet looked at
    sides = boxes[:, None, 2:] - boxes[:, None, :2]
    points = boxes[:, None, :2] + sides * np.stack([marks[:, :5], marks[:, 5:]], 2)
    boxes = moved(boxes, offsets)
    return Detections.of(boxes, scores, points=points).take(kept(boxes, scores, 0.7, of_smaller=True))


def scales(width: int, height: int, options: Options) -> list[float]:
    """Of the pyramid: from the one at which the smallest face fills a cell, down to a picture of one cell."""
    steps, scale = [], CELL / options.smallest
    while min(width, height) * scale >= CELL:
        steps.append(scale)
        scale *= options.factor
    return steps


def _proposals(pnet: Network, picture: Image.Image, options: Options) -> tuple[Array, Array, Array]:
    """Boxes, scores and offsets of pnet, after suppression in every step of the pyramid and over all of them."""
    found = [(np.zeros((0, 4)), np.zeros(0), np.zeros((0, 4)))]
    for scale in scales(*picture.size, options):
        size = math.ceil(picture.width * scale), math.ceil(picture.height * scale)
        values = pnet.run({"data": _tensor(picture.resize(size, Image.Resampling.BILINEAR), options)})
        scores, offsets = _output(pnet, values, PROBABILITY)[0, 1], _output(pnet, values, "conv4-2")[0]
        cells = np.argwhere(scores > options.thresholds[0])
        corners = (cells if options.transposed else cells[:, ::-1]) * STRIDE
        boxes = np.concatenate([corners, corners + CELL], 1) / scale
        rows, columns = cells.T
        pick = kept(boxes, scores[rows, columns], 0.5)
        found.append((boxes[pick], scores[rows, columns][pick], offsets[:, rows, columns].T[pick]))
    boxes, scores, offsets = (np.concatenate(parts) for parts in zip(*found, strict=True))
    pick = kept(boxes, scores, 0.7)
    return boxes[pick], scores[pick], offsets[pick]


def _looked_at(
    network: Network,
    offsets: str,
    more: tuple[str, ...],
    picture: Image.Image,
    boxes: Array,
    side: int,
    options: Options,
) -> tuple[Array, list[Array]]:
    """Scores of boxes, one inference each, and further outputs, each (K, values)."""
    names = [offsets, *more]
    scores: list[float] = []
    results: dict[str, list[Array]] = {n: [] for n in names}
    for box in np.rint(boxes).astype(int).tolist():
        # what lies outside the picture is black
        values = network.run(
            {"data": _tensor(picture.crop(box).resize((side, side), Image.Resampling.BILINEAR), options)}
        )
        scores.append(float(_output(network, values, PROBABILITY).reshape(-1)[1]))
        for name in names:
            results[name].append(_output(network, values, name).reshape(-1))
    widths = {n: 10 if n in more else 4 for n in names}
    return np.asarray(scores, np.float64), [np.asarray(results[n], np.float64).reshape(-1, widths[n]) for n in names]


def _output(network: Network, values: dict[str, Array], name: str) -> Array:
    if name not in values:
        raise DataError(f"{network.name}: no output '{name}', which MTCNN needs; it has {', '.join(values)}")
    return values[name]


def _tensor(picture: Image.Image, options: Options) -> Array:
    pixels = (np.asarray(picture, np.float32) - np.float32(127.5)) / np.float32(128)
    return np.ascontiguousarray(pixels.transpose(2, 1, 0) if options.transposed else pixels.transpose(2, 0, 1))[None]
