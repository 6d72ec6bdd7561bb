"""Which objects of two networks are the same: overlap and class, greedy by score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bittrue.audit.detection.boxes import Detections, overlaps

SAME = 0.5  # overlap from which two boxes of a class are one object


@dataclass(frozen=True)
class Pair:
    """An object that both found: its number in either list, the overlap of the boxes, and how far the scores are
    apart."""

    reference: int
    got: int
    overlap: float
    score_difference: float


@dataclass(frozen=True)
class Matching:
    """missing: numbers of reference objects that were not found; extra: of found ones that are not in the reference."""

    pairs: tuple[Pair, ...]
    missing: tuple[int, ...]
    extra: tuple[int, ...]


def match(reference: Detections, got: Detections, least: float = SAME) -> Matching:
    """Each found object, the best score first, takes the free reference object of its class that it overlaps most, if
    the overlap is at least `least`. Equal scores and overlaps: the lower number first."""
    shared = overlaps(got.boxes, reference.boxes)
    shared[got.classes[:, None] != reference.classes[None]] = -1
    pairs, free = [], np.ones(len(reference), bool)
    for i in np.argsort(-got.scores, kind="stable"):
        candidates = np.where(free, shared[i], -1)
        if not candidates.size or candidates.max() < least:
            continue
        j = int(candidates.argmax())
        free[j] = False
        difference = abs(float(got.scores[i] - reference.scores[j]))
        pairs.append(Pair(j, int(i), float(candidates[j]), difference))
    found = {p.got for p in pairs}
    return Matching(
        tuple(pairs), tuple(int(j) for j in np.flatnonzero(free)), tuple(i for i in range(len(got)) if i not in found)
    )


def scores_below(objects: Detections, others: Detections, least: float = SAME) -> list[float | None]:
    """For each object the score of the one of its class that it overlaps most among `others`, which may be below the
    score that counts; None where there is none."""
    shared = overlaps(objects.boxes, others.boxes)
    shared[objects.classes[:, None] != others.classes[None]] = -1
    return [float(others.scores[row.argmax()]) if row.size and row.max() >= least else None for row in shared]
