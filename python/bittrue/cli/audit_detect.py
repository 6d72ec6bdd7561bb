"""`bittrue audit detect MODEL --target T --data D --decoder N`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bittrue.audit.detection.decoders import DECODERS, decoder_of, load_decoder
from bittrue.audit.detection.drawing import small_copy
from bittrue.audit.detection.labels import read_labels
from bittrue.audit.detection.run import DetectOptions, DetectResult, compare_detections, detect, pictures_of
from bittrue.audit.detection.shown import most_different, shown_boxes
from bittrue.audit.labels import read_classes
from bittrue.audit.limits import Limit
from bittrue.cli.audit_task import entry_of, finish_task, read_task, task_options
from bittrue.errors import UsageError

_path = click.Path(path_type=Path)
RULES = ("voc07", "voc", "coco50", "coco")
LISTED_ROWS = 500  # pictures in the stored table


@click.command("detect", short_help="Boxes of a detector, drawn on the pictures.")
@click.argument("model", type=_path)
@click.option("--data", type=_path, required=True, help="Pictures: a file, a folder, or a list of files.")
@click.option(
    "--decoder", type=click.Choice(list(DECODERS)), help="Default: by the detection layer the network ends in."
)
@click.option("--output", help="Decode this output only.")
@click.option("--score", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Lowest score that counts.")
@click.option(
    "--overlap", type=click.FloatRange(0, 1, min_open=True), default=0.5, show_default=True, help="IoU of one object."
)
@click.option(
    "--nms", type=click.FloatRange(0, 1), help="Largest overlap that suppression leaves. Default: the decoder's."
)
@click.option(
    "--floor", type=click.FloatRange(0, 1), default=0.01, show_default=True, help="Lowest score that mAP looks at."
)
@click.option("--labels", type=_path, help="Folder of VOC .xml files, or a COCO .json file.")
@click.option("--classes", type=_path, help="Class names, one a line, number 0 first. VOC labels need them.")
@click.option(
    "--max-pictures", type=click.IntRange(0, 100), default=12, show_default=True, help="Pictures in the report."
)
@click.option("--min-matched", type=click.FloatRange(0, 1), help="Exit 1 if a smaller share of float's boxes is found.")
@click.option("--max-extra", type=click.IntRange(0), help="Exit 1 if there are more boxes that float has not.")
@click.option("--min-overlap", type=click.FloatRange(0, 1), help="Exit 1 if a matched box overlaps less.")
@click.option("--max-score-difference", type=click.FloatRange(0, 1), help="Exit 1 if a matched score differs by more.")
@click.option(
    "--min-map", multiple=True, metavar="RULE=SHARE", help=f"Exit 1 if mAP is lower, RULE one of {', '.join(RULES)}."
)
@task_options
def detect_command(
    model: Path,
    data: Path,
    decoder: str | None,
    output: str | None,
    score: float,
    overlap: float,
    nms: float | None,
    floor: float,
    labels: Path | None,
    classes: Path | None,
    max_pictures: int,
    min_matched: float | None,
    max_extra: int | None,
    min_overlap: float | None,
    max_score_difference: float | None,
    min_map: tuple[str, ...],
    json_file: Path | None,
    html_file: Path | None,
    verbose: bool,
    **source: Any,
) -> None:
    """Compare what a detector finds before and after quantization: boxes that both find, that are missing and that are
    extra, how far they overlap and how much their scores differ; mean average precision with the float network as the
    truth, and of both networks with --labels. --html draws both on the pictures.

    --min-map judges the quantized network against the labels, or else against the float network.

    \b
    Examples:
      bittrue audit detect ssd.prototxt --weights ssd.caffemodel --target bm1684 --data images/ --html boxes.html
      bittrue audit detect yunet.onnx --target bm1684 --data images/ --channels BGR --decoder yunet --min-matched 0.95
      bittrue audit detect net.onnx --quantized out --data images/ --decoder rfb --labels xml/ --classes names.txt
    """
    if floor > score:
        raise UsageError(f"--floor {floor:g} is above --score {score:g}")
    bounds = [parse_rule(text) for text in min_map]
    names = read_classes(classes) if classes else []
    truth = read_labels(labels, names) if labels else None
    task = read_task(model, data, **source)
    decode = load_decoder(decoder) if decoder else decoder_of(task.graph)
    options = DetectOptions(score, overlap, floor, nms, output)
    pictures = pictures_of(task.records)
    reference = detect(task.float_network, pictures, decode, options)
    found = [detect(network, pictures, decode, options) for _, network in task.quantized]
    results = [compare_detections(pictures, reference, got, options, truth) for got in found]
    shown = most_different(results, max_pictures)
    entries = []
    for (quantized, _), result in zip(task.quantized, results, strict=True):
        judged = result.quantized_labels or result.against_float
        limits = [
            Limit(what, value, bound, limit)
            for what, value, bound, limit in (
                ("matched share", result.matched_share, "at least", min_matched),
                ("extra boxes", result.extra, "at most", max_extra),
                ("least overlap", result.least_overlap, "at least", min_overlap),
                ("largest score difference", result.score_difference, "at most", max_score_difference),
                *((f"mAP {rule}", getattr(judged, rule), "at least", v) for rule, v in bounds),
            )
            if limit is not None
        ]
        content = result.as_dict()
        content["rows"] = content["rows"][:LISTED_ROWS]
        content["shown"] = [shown_boxes(result.compared[i], names) for i in shown]
        content |= {"decoder": decode.name, "score": score, "overlap": overlap, "floor": floor}
        entries.append(entry_of(quantized, "detect", content, limits))
    copies = {pictures[i].key: small_copy(pictures[i].path) for i in shown}
    sentences = [sentence(r) for r in results]
    files = {"json": json_file, "html": html_file}
    nothing = [f"no box has a score of {score:g}: nothing was compared"]
    warnings = [] if any(r.float_boxes or r.boxes for r in results) else nothing
    finish_task(model.stem, task, entries, sentences, files, verbose, {"pictures": copies}, warnings)


def sentence(result: DetectResult) -> str:
    """The result in one line."""
    return (
        f"{result.matched} of {result.float_boxes} boxes found in {result.pictures} pictures, "
        f"{result.missing} missing, {result.extra} extra"
    )


def parse_rule(text: str) -> tuple[str, float]:
    """`RULE=SHARE`. Raises UsageError."""
    rule, _, share = text.partition("=")
    try:
        value = float(share)
    except ValueError:
        value = -1.0
    if rule not in RULES or not 0 <= value <= 1:
        raise UsageError(f"--min-map {text}: RULE=SHARE is needed, RULE one of {', '.join(RULES)}")
    return rule, value
