"""Classification and detection of an audit as plain text. verbose: every sample and picture, not only the first."""

from __future__ import annotations

from typing import Any

from bittrue.report.show import number

LISTED_FLIPS = 10
LISTED_PICTURES = 10
Content = dict[str, Any]


def flip(f: Content) -> str:
    """A sample whose best class changes."""
    label = "-" if f["label"] is None else f["label"]
    return (
        f"  flipped: {f['key']} label {label}: {f['float']} -> {f['quantized']}, "
        f"margin {f['margin']:.4g} -> {f['quantized_margin']:.4g}"
    )


def classify(content: Content, verbose: bool) -> list[str]:
    """Top-k of both networks, and the samples whose class changes."""
    lines = [f"  {content['samples']} samples, {content['labelled']} labelled"]
    for r in content["rates"]:
        ties = [f"{r['ties'][side]} {side}" for side in ("float", "quantized") if r["ties"][side]]
        by_ties = f", by ties only: {' and '.join(ties)}" if ties else ""
        lines.append(
            f"  top-{r['k']:<3} float {r['float']:.4f}, quantized {r['quantized']:.4f}, "
            f"difference {0 - r['drop']:+.4f}; lost {r['lost']}, gained {r['gained']}, "
            f"McNemar p = {r['mcnemar_p']:.3g}{by_ties}"
        )
    lines.append(f"  {content['flips']} flipped: their best class changes ({content['agreement']:.4f} agree)")
    shown = content["flipped"] if verbose else content["flipped"][:LISTED_FLIPS]
    for f in shown:
        lines.append(flip(f))
    if content["flips"] > len(shown):
        lines.append(f"  ... {content['flips'] - len(shown)} more flipped")
    return lines


def detect(content: Content, verbose: bool) -> list[str]:
    """What became of the objects of both networks, and average precision."""
    lines = [
        f"  {content['pictures']} pictures, decoder {content['decoder']}, scores from {content['score']:g}, "
        f"one object from an overlap of {content['overlap']:g}",
        f"  float {content['float_boxes']} boxes, quantized {content['boxes']}: matched {content['matched']}, "
        f"missing {content['missing']}, extra {content['extra']}",
        f"  seen by the other with a lower score: missing {content['weak_missing']}, extra {content['weak_extra']}",
        f"  overlap of matched boxes: mean {number(content['mean_overlap'], '.4f')}, "
        f"least {number(content['least_overlap'], '.4f')}; "
        f"largest score difference {number(content['score_difference'], '.4f')}",
        f"  mAP, float is the truth: {_precisions(content['against_float'])}",
    ]
    for side, values in (content.get("against_labels") or {}).items():
        lines.append(f"  mAP, labels, {side:<9}: {_precisions(values)}")
    different = [r for r in content["rows"] if r["missing"] or r["extra"]]
    rows = content["rows"] if verbose else different[:LISTED_PICTURES]
    for r in rows:
        lines.append(
            f"  {r['key']}: float {r['float_boxes']}, quantized {r['boxes']}, missing {r['missing']}, "
            f"extra {r['extra']}, least overlap {number(r['least_overlap'], '.3f')}, "
            f"score difference {number(r['score_difference'], '.3f')}"
        )
    if not verbose and len(different) > len(rows):
        lines.append(f"  ... {len(different) - len(rows)} more pictures differ")
    return lines


def _precisions(values: Content) -> str:
    names = {"voc07": "VOC07", "voc": "VOC", "coco50": "COCO@0.5", "coco": "COCO"}
    return ", ".join(f"{name} {number(values[key], '.4f')}" for key, name in names.items())


def limits(limits: list[Content], verbose: bool) -> list[str]:
    """What was asked of the figures."""
    return [f"  {entry['sentence']}" for entry in limits]
