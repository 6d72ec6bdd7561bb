"""The layers of a network as a drawing: ranks from left to right, wrapped like text, coloured by state.

A layer stands one column after the last of the layers it reads. Neighbours are joined by a curve; connections that skip
columns run above the boxes, those to a later line below them, both between the columns: no connection crosses a box.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from bittrue.report.show import one_line, shorten
from bittrue.report.states import ORDER, STATES

WIDTH, MARGIN = 1064.0, 12.0
TRACK, TRACKS = 5.0, 8  # distance and number of the lines that skip boxes, per band
BAND_GAP = 12.0
SEPARATORS, SHORTEST_PREFIX = "/._:-", 4
WRONG = {"born", "both", "unresolved", "failed", "inherited"}


@dataclass(frozen=True)
class Size:
    """Of a box, in user units. letter: the width of one; 0: no text."""

    width: float
    height: float
    gap: float
    letter: float

    @property
    def letters(self) -> int:
        """How many fit into a box."""
        return int((self.width - 8) // self.letter) if self.letter else 0


# largest number of boxes -> their smallest size
SIZES = {72: Size(110, 34, 22, 6.3), 480: Size(82, 16, 14, 5.4), 10**9: Size(12, 12, 8, 0)}
LARGEST = 6000  # boxes drawn at all


@dataclass
class Box:
    """One layer: `reads` are the boxes it is computed from; x, y its upper left corner."""

    name: str
    label: str
    op: str
    state: str
    title: str
    reads: list[int] = field(default_factory=list)
    rank: int = 0
    lane: int = 0
    x: float = 0.0
    y: float = 0.0


def layer_graph(tensors: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Boxes, paths and size of the drawing; None for fewer than two layers.

    tensors: in execution order, with `state`. Without `reads` they stand in a row.
    """
    boxes = _boxes(tensors)
    if len(boxes) < 2:
        return None
    prefix = _cut_prefix(boxes)
    hidden = max(0, len(boxes) - LARGEST)
    boxes = boxes[:LARGEST]
    _rank(boxes)
    size = next(s for limit, s in SIZES.items() if len(boxes) <= limit)
    usable = WIDTH - 2 * MARGIN + size.gap
    columns = int(usable // (size.width + size.gap))
    size = replace(size, width=round(usable / columns - size.gap, 2))
    edges = [(boxes[k], box) for box in boxes for k in box.reads]
    height, paths = _place(boxes, edges, size, columns)
    counts = Counter(b.state for b in boxes)
    return {
        "boxes": boxes,
        "paths": paths,
        "size": size,
        "width": WIDTH,
        "height": round(height, 1),
        "hidden": hidden,
        "connected": bool(edges),
        "prefix": prefix,
        "legend": [(key, STATES[key], counts[key]) for key in ORDER if counts[key]],
    }


def _boxes(tensors: list[dict[str, Any]]) -> list[Box]:
    """A box per tensor name, and one for each tensor that is read but was not compared."""
    boxes: list[Box] = []
    place: dict[str, int] = {}
    for t in tensors:
        name = str(t.get("name") or t.get("layer") or "")
        reads = [str(r) for r in dict.fromkeys(t.get("reads") or []) if str(r) != name]
        if name in place:  # a network output repeats an inner tensor
            known = boxes[place[name]]
            known.title = _title(t) if known.state == "unknown" else known.title
            known.state = min(known.state, t["state"], key=ORDER.index)
            continue
        for read in reads:
            if read not in place:
                place[read] = len(boxes)
                boxes.append(Box(read, one_line(read), "", "unknown", f"{one_line(read)}: input or not compared"))
        place[name] = len(boxes)
        box = Box(name, one_line(t.get("layer") or name), one_line(t.get("op") or ""), t["state"], _title(t))
        box.reads = [place[r] for r in reads]
        boxes.append(box)
    return boxes


def _cut_prefix(boxes: list[Box]) -> str:
    """Takes what all names of layers begin with, up to a separator, off their labels: it tells nothing."""
    named = [b for b in boxes if b.op]
    if len(named) < 2:
        return ""
    low, high = min(b.label for b in named), max(b.label for b in named)  # share what all share
    length = next((k for k, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    length = max(low.rfind(c, 0, length) for c in SEPARATORS) + 1
    if length < SHORTEST_PREFIX:
        return ""
    for box in named:
        box.label = box.label[length:] or box.label
    return low[:length]


def _title(t: dict[str, Any]) -> str:
    counts = f"{t.get('n_bad', 0):,} of {t['n']:,} differ" if t.get("n") else str(t.get("detail") or "not compared")
    parts = (f"{t.get('index', '')} {t.get('layer') or t.get('name') or ''}", t.get("op"), t.get("verdict"))
    return one_line(", ".join(str(p) for p in (*parts, t.get("origin"), counts) if p))


def _rank(boxes: list[Box]) -> None:
    """Longest paths from the inputs; what reads nothing stands just before its first reader.

    Only earlier boxes are read: `_boxes` makes those that are read first, so there are no cycles.
    """
    if not any(b.reads for b in boxes):
        for k, box in enumerate(boxes):
            box.rank = k
        return
    for box in boxes:
        box.rank = 1 + max((boxes[k].rank for k in box.reads), default=-1)
    readers: dict[int, int] = {}
    for box in boxes:
        for k in box.reads:
            readers[k] = min(readers.get(k, box.rank), box.rank)
    last = max(b.rank for b in boxes)
    for k, box in enumerate(boxes):
        if box.reads:
            continue
        if k in readers:
            box.rank = readers[k] - 1
        else:  # joined to nothing: after the others
            last += 1
            box.rank = last


def _place(boxes: list[Box], edges: list[tuple[Box, Box]], size: Size, columns: int) -> tuple[float, list[Any]]:
    """Sets the coordinates; returns the height and the paths as (style, path data)."""
    ranks: dict[int, list[Box]] = {}
    for box in boxes:
        ranks.setdefault(box.rank, []).append(box)
    for _, members in sorted(ranks.items()):
        members.sort(key=lambda b: _mean([boxes[k].lane for k in b.reads]))
        for lane, box in enumerate(members):
            box.lane = lane
    above, below = _Tracks(), _Tracks()
    routes = []
    for source, target in sorted(edges, key=lambda e: e[1].rank - e[0].rank):
        band, last = source.rank // columns, target.rank // columns
        start, end = source.rank % columns, target.rank % columns
        if band != last:
            routes.append((source, target, "below", below.take(band, start + 1, end)))
        elif end - start > 1:
            routes.append((source, target, "above", above.take(band, start + 1, end)))
        else:
            routes.append((source, target, "beside", 0))
    tops, bottoms = {}, {}
    y = MARGIN
    for band in range(max(ranks) // columns + 1):
        lanes = max((len(m) for r, m in ranks.items() if r // columns == band), default=1)
        tops[band] = y + above.count(band) * TRACK
        bottoms[band] = tops[band] + lanes * (size.height + 6) - 6
        y = bottoms[band] + below.count(band) * TRACK + BAND_GAP
    for box in boxes:
        box.x = MARGIN + box.rank % columns * (size.width + size.gap)
        box.y = tops[box.rank // columns] + box.lane * (size.height + 6)
    paths: dict[str, list[str]] = {"edge": [], "edge wrong": [], "tip": []}
    for source, target, side, track in routes:
        band = source.rank // columns
        line = tops[band] - (track + 1) * TRACK if side == "above" else bottoms[band] + (track + 1) * TRACK
        path, tip = _path(source, target, side, line, size)
        paths["edge wrong" if source.state in WRONG else "edge"].append(path)
        paths["tip"].append(tip)
    return y, [(style, " ".join(data)) for style, data in paths.items() if data]


def _path(source: Box, target: Box, side: str, line: float, size: Size) -> tuple[str, str]:
    x1, y1 = source.x + size.width, source.y + size.height / 2
    x2, y2 = target.x - 3, target.y + size.height / 2
    tip = f"M{x2 + 3:.1f} {y2:.1f}l-4 -2.5v5z"
    if side == "beside":
        if y1 == y2:
            return f"M{x1:.1f} {y1:.1f}H{x2:.1f}", tip
        middle = (x1 + x2) / 2
        return f"M{x1:.1f} {y1:.1f}C{middle:.1f} {y1:.1f} {middle:.1f} {y2:.1f} {x2:.1f} {y2:.1f}", tip
    turn1, turn2 = x1 + size.gap * 0.3, target.x - size.gap * 0.4
    return f"M{x1:.1f} {y1:.1f}H{turn1:.1f}V{line:.1f}H{turn2:.1f}V{y2:.1f}H{x2:.1f}", tip


def _mean(values: list[int]) -> float:
    return sum(values) / len(values) if values else 0.0


class _Tracks:
    """Gives lines that run side by side different tracks; with all taken, they share the last."""

    def __init__(self) -> None:
        self._taken: dict[int, list[list[tuple[int, int]]]] = {}

    def take(self, band: int, a: int, b: int) -> int:
        low, high = min(a, b), max(a, b)
        tracks = self._taken.setdefault(band, [])
        for number, spans in enumerate(tracks):
            if all(high < first or last < low for first, last in spans):
                spans.append((low, high))
                return number
        if len(tracks) < TRACKS:
            tracks.append([(low, high)])
        return len(tracks) - 1

    def count(self, band: int) -> int:
        return len(self._taken.get(band, []))


def label(box: Box, size: Size) -> str:
    """The name as far as it fits."""
    return shorten(box.label, size.letters) if size.letters else ""
