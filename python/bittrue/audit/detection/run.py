"""A float and a quantized detector on the same pictures: what both find, and what only one does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.audit.detection.average_precision import MeanPrecision, Truth, mean_precision
from bittrue.audit.detection.boxes import Detections
from bittrue.audit.detection.decoders import Decoder, Limits
from bittrue.audit.detection.labels import Labels
from bittrue.audit.detection.matching import SAME, Matching, match, scores_below
from bittrue.audit.networks import Network
from bittrue.calibrate.data import PICTURES, Records, open_picture, picture_size
from bittrue.calibrate.placement import Placement, place
from bittrue.errors import DataError


@dataclass(frozen=True)
class DetectOptions:
    """score: lowest score of an object that counts as found. overlap: of two boxes of one object. floor: lowest score
    that average precision looks at (at most `score`). most: largest overlap that suppression leaves, default: the
    decoder's. output: name of the only output to decode, default: all."""

    score: float = 0.5
    overlap: float = SAME
    floor: float = 0.01
    most: float | None = None
    output: str | None = None


@dataclass(frozen=True)
class Picture:
    """A picture of the data. size: its width and height; feeds: the network's input made of it."""

    key: str
    path: Path
    placement: Placement
    feeds: dict[str, Any]

    @property
    def size(self) -> tuple[int, int]:
        return self.placement.picture


def pictures_of(records: Records) -> Iterator[Picture]:
    """The pictures of a data set. Raises DataError for data of another kind: boxes need something to lie on."""
    input_type = records.graph.types[records.graph.inputs[0]]
    for file, record in zip(records.files, records, strict=False):
        if file.suffix.lower() not in PICTURES:
            raise DataError(f"{file}: not a picture; detections need pictures")
        placement = place(open_picture(file).size, picture_size(input_type, records.options), records.options.mode)
        yield Picture(record.key, file, placement, record.feeds)


def detect(network: Network, picture: Picture, decoder: Decoder, options: DetectOptions) -> Detections:
    """Objects of a picture in its pixels, the best score first, down to the score `floor`."""
    values = network.run(picture.feeds)
    wanted = (network.output(options.output),) if options.output else network.outputs
    most = decoder.most if options.most is None else options.most
    limits = Limits(min(options.floor, options.score), most)
    found = decoder({n: values[n] for n in wanted}, picture.placement.canvas, limits)
    if not (np.isfinite(found.boxes).all() and np.isfinite(found.scores).all()):
        raise DataError(f"{picture.key}: {network.name} returns boxes or scores that are no numbers")
    return found.take(np.argsort(-found.scores, kind="stable")).on_picture(picture.placement)


@dataclass(frozen=True)
class Compared:
    """A picture, what each network found in it at the score that counts, and how these fit together.

    missing_scores, extra_scores: of the missing objects and of the extra ones, what the other network's score is.
    """

    picture: Picture
    reference: Detections
    got: Detections
    matching: Matching
    missing_scores: tuple[float | None, ...] = ()
    extra_scores: tuple[float | None, ...] = ()


@dataclass
class DetectResult:
    """Totals over all pictures; overlaps and score differences are of matched boxes, None without any. weak_missing,
    weak_extra: missing and extra objects that the other network sees too, with a score that does not count.

    against_float: average precision of the quantized network with the float one's objects as the truth.
    float_labels, quantized_labels: of both with labels as the truth, None without labels.
    """

    pictures: int
    float_boxes: int
    boxes: int
    matched: int
    missing: int
    extra: int
    weak_missing: int
    weak_extra: int
    mean_overlap: float | None
    least_overlap: float | None
    score_difference: float | None
    against_float: MeanPrecision
    float_labels: MeanPrecision | None = None
    quantized_labels: MeanPrecision | None = None
    compared: list[Compared] = field(default_factory=list)

    @property
    def matched_share(self) -> float:
        """Of the float network's boxes; 1 if it finds none."""
        return self.matched / self.float_boxes if self.float_boxes else 1.0

    def as_dict(self) -> dict[str, Any]:
        """For a stored result: totals, and one row per picture."""
        left_out = ("compared", "against_float", "float_labels", "quantized_labels")
        content = {k: getattr(self, k) for k in self.__dataclass_fields__ if k not in left_out}
        content["matched_share"] = self.matched_share
        content["against_float"] = asdict(self.against_float)
        if self.float_labels and self.quantized_labels:
            content["against_labels"] = {
                "float": asdict(self.float_labels),
                "quantized": asdict(self.quantized_labels),
            }
        return content | {"rows": [picture_row(c) for c in self.compared]}


def _compared(picture: Picture, reference: Detections, got: Detections, options: DetectOptions) -> Compared:
    strong, strong_got = reference.at_least(options.score), got.at_least(options.score)
    matching = match(strong, strong_got, options.overlap)
    missing = scores_below(strong.take(list(matching.missing)), got, options.overlap)
    extra = scores_below(strong_got.take(list(matching.extra)), reference, options.overlap)
    return Compared(picture, strong, strong_got, matching, tuple(missing), tuple(extra))


def _extremes(pairs: Sequence[Any]) -> dict[str, float | None]:
    shared = [p.overlap for p in pairs]
    return {
        "mean_overlap": float(np.mean(shared)) if shared else None,
        "least_overlap": min(shared, default=None),
        "score_difference": max((p.score_difference for p in pairs), default=None),
    }


def picture_row(c: Compared) -> dict[str, Any]:
    """One picture in numbers."""
    counts = {"float_boxes": len(c.reference), "boxes": len(c.got), "matched": len(c.matching.pairs)}
    differences = {"missing": len(c.matching.missing), "extra": len(c.matching.extra)}
    return {"key": c.picture.key, **counts, **differences, **_extremes(c.matching.pairs)}


def compare_detectors(
    float_network: Network,
    quantized_network: Network,
    pictures: Sequence[Picture],
    decoder: Decoder,
    options: DetectOptions | None = None,
    labels: Labels | None = None,
) -> DetectResult:
    """Runs both networks on all pictures.

    labels: what is in each picture. Raises DataError without pictures, for outputs that the decoder does not take, for
    detections that are no numbers, and what `labels` raises.
    """
    options = options or DetectOptions()
    compared, against_float, by_float, by_quantized = [], [], [], []
    for picture in pictures:
        reference, got = (detect(n, picture, decoder, options) for n in (float_network, quantized_network))
        compared.append(_compared(picture, reference, got, options))
        against_float.append((got, Truth.from_detections(compared[-1].reference)))
        if labels:
            truth = labels(picture.key, picture.size)
            by_float.append((reference, truth))
            by_quantized.append((got, truth))
    if not compared:
        raise DataError("no pictures to compare detections on")
    pairs = [p for c in compared for p in c.matching.pairs]
    return DetectResult(
        pictures=len(compared),
        float_boxes=sum(len(c.reference) for c in compared),
        boxes=sum(len(c.got) for c in compared),
        matched=len(pairs),
        missing=sum(len(c.matching.missing) for c in compared),
        extra=sum(len(c.matching.extra) for c in compared),
        weak_missing=sum(s is not None for c in compared for s in c.missing_scores),
        weak_extra=sum(s is not None for c in compared for s in c.extra_scores),
        **_extremes(pairs),
        against_float=mean_precision(against_float),
        float_labels=mean_precision(by_float) if labels else None,
        quantized_labels=mean_precision(by_quantized) if labels else None,
        compared=compared,
    )
