"""How well an INT8 network does what its float network does: one number, 1 is as well."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bittrue.audit.detection.decoders import Limits, decoder_of
from bittrue.audit.detection.matching import match
from bittrue.audit.errors import ErrorSums, as_rows
from bittrue.audit.topk import better_scores
from bittrue.errors import DataError
from bittrue.graph.ir import Graph

Array = np.ndarray[Any, Any]
SCORE_OF_AN_OBJECT = 0.3


@dataclass(frozen=True)
class Sample:
    """Outputs of both networks on one batch, and the labels of its samples if the data has them."""

    truth: Mapping[str, Array]
    got: Mapping[str, Array]
    labels: Array | None


Scorer = Callable[[Graph, Sequence[Sample]], tuple[float, float]]


def feature_similarity(graph: Graph, samples: Sequence[Sample]) -> tuple[float, float]:
    """(1, cosine of the worst output)."""
    cosines = []
    for name in graph.outputs:
        sums = ErrorSums()
        for sample in samples:
            sums.add(sample.truth[name], sample.got[name])
        cosines.append(sums.cosine())
    return 1.0, min(cosines)


def classification(graph: Graph, samples: Sequence[Sample]) -> tuple[float, float]:
    """Top-1 of the last output in float and in INT8. Raises DataError without labels."""
    name = graph.outputs[-1]
    right = np.zeros(2)
    count = 0
    for sample in samples:
        if sample.labels is None:
            raise DataError("topx_accuracy_for_classify needs an LMDB with labels")
        labels = np.asarray(sample.labels, np.int64).ravel()
        right += [(better_scores(as_rows(v[name]), labels) < 1).sum() for v in (sample.truth, sample.got)]
        count += len(labels)
    return float(right[0] / count), float(right[1] / count)


def detection(graph: Graph, samples: Sequence[Sample]) -> tuple[float, float]:
    """(1, twice the matched objects by the objects of both), of objects with a score of 0.3 and more; 1 without any.
    Raises UsageError for a network that ends in no detection layer."""
    decode = decoder_of(graph)
    height, width = graph.types[graph.inputs[0]].shape[-2:]
    matched = objects = 0
    for sample in samples:
        limits = Limits(SCORE_OF_AN_OBJECT, decode.most)
        truth, got = (decode(v, (width, height), limits) for v in (sample.truth, sample.got))
        matched, objects = matched + len(match(truth, got).pairs), objects + len(truth) + len(got)
    return 1.0, 2 * matched / objects if objects else 1.0


SCORERS: dict[str, Scorer] = {
    "feature_similarity": feature_similarity,
    "topx_accuracy_for_classify": classification,
    "detect_accuracy": detection,
    "None": feature_similarity,
}
