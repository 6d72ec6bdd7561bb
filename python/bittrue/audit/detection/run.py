"""A float and a quantized detector on the same pictures: what both find, and what only one does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.audit.detection.average_precision import MeanPrecision, Truth, mean_precision
from bittrue.audit.detection.boxes import Detections
from bittrue.audit.detection.decoders import Decoder, Limits
from bittrue.audit.detection.labels import Labels
from bittrue.audit.detection.matching import SAME, Matching, match, scores_below
from bittrue.audit.networks import Network
from bittrue.calibrate.data import PICTURES, Records, open_picture, picture, picture_size
from bittrue.calibrate.placement import Placement, place
from bittrue.errors import DataError

Array = np.ndarray[Any, Any]


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
    """A picture of the data and where it lies on the network's input."""

    key: str
    path: Path
    placement: Placement
    records: Records

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.placement.picture

    def feeds(self) -> dict[str, Array]:
        """The network's input made of it, read anew each time."""
        name = self.records.graph.inputs[0]
        return {name: picture(self.path, self.records.graph.types[name], self.records.options)}


def pictures_of(records: Records) -> list[Picture]:
    """The pictures of a data set. Raises DataError for data of another kind, since boxes need something to lie on, and
    for networks that take more than a picture."""
    graph, options = records.graph, records.options
    if len(graph.inputs) != 1 or len(graph.types[graph.inputs[0]].shape) != 4:
        inputs = ", ".join(f"{n} {list(graph.types[n].shape)}" for n in graph.inputs)
        raise DataError(f"{records.root}: a picture feeds one input of four dimensions, the network has {inputs}")
    canvas = picture_size(graph.types[graph.inputs[0]], options)
    pictures = []
    for file in islice(records.files, records.limit):
        if file.suffix.lower() not in PICTURES:
            raise DataError(f"{file}: not a picture; detections need pictures")
        placement = place(open_picture(file).size, canvas, options.mode)
        pictures.append(Picture(records.key(file), file, placement, records))
    return pictures


def detect(network: Network, pictures: Sequence[Picture], decoder: Decoder, options: DetectOptions) -> list[Detections]:
    """Objects of each picture in its pixels, the best score first, down to the score `floor`.

    Raises DataError for outputs that the decoder does not take and for detections that are no numbers.
    """
    most = decoder.most if options.most is None else options.most
    limits = Limits(min(options.floor, options.score), most)
    wanted = (network.output(options.output),) if options.output else network.outputs
    objects = []
    for one in pictures:
        values = network.run(one.feeds())
        outputs = {n: values[n] for n in wanted}
        found = decoder(outputs, one.placement.canvas, limits)
        if not all(np.isfinite(v).all() for v in (*outputs.values(), found.boxes)):
            raise DataError(f"{one.key}: {network.name} returns values that are no finite numbers")
        objects.append(found.take(np.argsort(-found.scores, kind="stable")).on_picture(one.placement))
    return objects


@dataclass(frozen=True)
class Fate:
    """What became of an object. state: "matched", or "missing" (only the reference finds it), or "extra" (only the
    other does). overlap: of the matched boxes. other_score: of the other network, if it sees the object at all."""

    state: str
    overlap: float | None
    other_score: float | None


@dataclass(frozen=True)
class Compared:
    """A picture, the objects of both networks that count, and what became of each."""

    picture: Picture
    reference: Detections
    got: Detections
    matching: Matching
    reference_fates: tuple[Fate, ...]
    got_fates: tuple[Fate, ...]

    @property
    def differences(self) -> int:
        """How many objects only one network finds."""
        return len(self.matching.missing) + len(self.matching.extra)

    def row(self) -> dict[str, Any]:
        """The picture in numbers."""
        counts = {"float_boxes": len(self.reference), "boxes": len(self.got), "matched": len(self.matching.pairs)}
        only = {"missing": len(self.matching.missing), "extra": len(self.matching.extra)}
        return {"key": self.picture.key, **counts, **only, **_extremes([self.matching])}


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
    def matched_share(self) -> float | None:
        """Of the float network's boxes; None if it finds none."""
        return self.matched / self.float_boxes if self.float_boxes else None

    def as_dict(self) -> dict[str, Any]:
        """For a stored result: totals, and one row per picture, the most different first."""
        left_out = ("compared", "against_float", "float_labels", "quantized_labels")
        content = {k: getattr(self, k) for k in self.__dataclass_fields__ if k not in left_out}
        content["matched_share"] = self.matched_share
        content["against_float"] = asdict(self.against_float)
        if self.float_labels and self.quantized_labels:
            labels = {"float": self.float_labels, "quantized": self.quantized_labels}
            content["against_labels"] = {side: asdict(value) for side, value in labels.items()}
        return content | {"rows": [c.row() for c in sorted(self.compared, key=lambda c: -c.differences)]}


def compare_detections(
    pictures: Sequence[Picture],
    reference: Sequence[Detections],
    got: Sequence[Detections],
    options: DetectOptions | None = None,
    labels: Labels | None = None,
) -> DetectResult:
    """Compares what two networks find in each picture, as `detect` returns it: the reference's first.

    labels: what is in each picture. Raises DataError without pictures, and what `labels` raises.
    """
    if not pictures:
        raise DataError("no pictures to compare detections on")
    options = options or DetectOptions()
    compared = [_compared(*three, options) for three in zip(pictures, reference, got, strict=True)]
    truth = [Truth.from_detections(c.reference) for c in compared]
    known = [labels(p.key, p.size) for p in pictures] if labels else None
    fates = [f for c in compared for f in (*c.reference_fates, *c.got_fates)]
    weak = [f.state for f in fates if f.other_score is not None]
    return DetectResult(
        pictures=len(compared),
        float_boxes=sum(len(c.reference) for c in compared),
        boxes=sum(len(c.got) for c in compared),
        matched=sum(len(c.matching.pairs) for c in compared),
        missing=sum(len(c.matching.missing) for c in compared),
        extra=sum(len(c.matching.extra) for c in compared),
        weak_missing=weak.count("missing"),
        weak_extra=weak.count("extra"),
        **_extremes([c.matching for c in compared]),
        against_float=mean_precision(list(zip(got, truth, strict=True))),
        float_labels=mean_precision(list(zip(reference, known, strict=True))) if known else None,
        quantized_labels=mean_precision(list(zip(got, known, strict=True))) if known else None,
        compared=compared,
    )


def _compared(one: Picture, reference: Detections, got: Detections, options: DetectOptions) -> Compared:
    strong, strong_got = reference.at_least(options.score), got.at_least(options.score)
    matching = match(strong, strong_got, options.overlap)
    # By number; pairs replace what is first taken for missing or extra.
    missing = [Fate("missing", None, s) for s in scores_below(strong, got, options.overlap)]
    extra = [Fate("extra", None, s) for s in scores_below(strong_got, reference, options.overlap)]
    for pair in matching.pairs:
        missing[pair.reference] = Fate("matched", pair.overlap, float(strong_got.scores[pair.got]))
        extra[pair.got] = Fate("matched", pair.overlap, float(strong.scores[pair.reference]))
    return Compared(one, strong, strong_got, matching, tuple(missing), tuple(extra))


def _extremes(matchings: Sequence[Matching]) -> dict[str, float | None]:
    pairs = [p for m in matchings for p in m.pairs]
    shared = [p.overlap for p in pairs]
    return {
        "mean_overlap": float(np.mean(shared)) if shared else None,
        "least_overlap": min(shared, default=None),
        "score_difference": max((p.score_difference for p in pairs), default=None),
    }
