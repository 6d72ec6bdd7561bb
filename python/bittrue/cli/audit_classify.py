"""`bittrue audit classify MODEL --target T --data D`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from bittrue.audit.classify import Classification, classify
from bittrue.audit.labels import FileLabels, Labelled, PatternLabels, read_classes
from bittrue.audit.limits import Limit
from bittrue.calibrate.data import Record
from bittrue.cli.audit_task import entry_of, finish_task, read_task, task_options
from bittrue.cli.output import write_csv
from bittrue.errors import UsageError

_path = click.Path(path_type=Path)


@click.command("classify", short_help="Top-k of a classifier, and the samples that flip.")
@click.argument("model", type=_path)
@click.option("--data", type=_path, required=True, help="Pictures, LMDB, .npz, or a list of `PATH LABEL` lines.")
@click.option("--labels", type=_path, help="`NAME LABEL` lines, one label a line, or .npy; default: those of the data.")
@click.option("--label-pattern", help="Regular expression: its group is the label in a sample's path.")
@click.option("--classes", type=_path, help="With --label-pattern: class names, one a line; the first word is matched.")
@click.option("--topk", default="1,5", show_default=True, help="Which k, separated by commas.")
@click.option("--output", help="The output with the scores; default: the first.")
@click.option("--min-top", multiple=True, metavar="K=SHARE", help="Exit 1 if the quantized top-k is lower.")
@click.option("--max-drop", multiple=True, metavar="K=SHARE", help="Exit 1 if top-k drops by more.")
@click.option("--max-flips", type=click.IntRange(0), help="Exit 1 if more samples change their best class.")
@click.option("--samples-csv", "samples_file", type=_path, help="Write every sample's paired result as CSV.")
@task_options
def classify_command(
    model: Path,
    data: Path,
    labels: Path | None,
    label_pattern: str | None,
    classes: Path | None,
    topk: str,
    output: str | None,
    min_top: tuple[str, ...],
    max_drop: tuple[str, ...],
    max_flips: int | None,
    samples_file: Path | None,
    json_file: Path | None,
    html_file: Path | None,
    verbose: bool,
    **source: Any,
) -> None:
    """Compare a classifier before and after quantization on the same samples: top-k of both, and the samples whose best
    class changes.

    A label is in the top k if fewer than k scores are strictly greater; how often only equal scores put it there is
    counted apart. Without labels the flips alone are reported.

    \b
    Examples:
      bittrue audit classify net.prototxt --weights net.caffemodel --target bm1684 --data lmdb --topk 1,5
      bittrue audit classify net.onnx --quantized out --data images/ --label-pattern '_([0-9]+)[.]' --min-top 1=0.98
      bittrue audit classify net.onnx --target bm1684 --data images/ --label-pattern '^([^/]+)/' --classes names.txt
    """
    counted = parse_topk(topk)
    bounds = [(k, "at least", v) for k, v in map(parse_bound, min_top)]
    drops = [(k, "at most", v) for k, v in map(parse_bound, max_drop)]
    for k, _, _ in (*bounds, *drops):
        if k not in counted:
            raise UsageError(f"a limit of top-{k} needs it in --topk {topk}")
    rule = label_rule(labels, label_pattern, classes)
    task = read_task(model, data, **source)
    records: Iterable[Record] = Labelled(task.records, rule) if rule else task.records
    entries, sentences, rows = [], [], []
    for quantized, network in task.quantized:
        result = classify(task.float_network, network, records, counted, output)
        limits = [Limit(f"quantized top-{k}", result.rate(k).share("quantized"), b, v) for k, b, v in bounds]
        limits += [Limit(f"drop of top-{k}", result.rate(k).drop, b, v) for k, b, v in drops]
        limits += [] if max_flips is None else [Limit("flipped samples", result.flips, "at most", max_flips)]
        entries.append(entry_of(quantized, "classify", result.as_dict(), limits))
        sentences.append(sentence(result))
        rows += [{"target": quantized.target, "precision": quantized.precision, **row} for row in result.paired]
    if samples_file:
        write_csv(samples_file, rows)
    finish_task(model.stem, task, entries, sentences, {"json": json_file, "html": html_file}, verbose)


def sentence(result: Classification) -> str:
    """The result in one line."""
    rates = [f"top-{r.k} {r.share('float'):.4f} -> {r.share('quantized'):.4f}" for r in result.rates if r.labelled]
    return ", ".join([*rates, f"{result.flips} of {result.samples} samples flipped"])


def parse_topk(text: str) -> tuple[int, ...]:
    """`1,5` to numbers, each once. Raises UsageError."""
    try:
        counted = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        counted = ()
    if not counted or min(counted) < 1:
        raise UsageError(f"--topk {text}: whole numbers from 1, separated by commas, are needed")
    return counted


def parse_bound(text: str) -> tuple[int, float]:
    """`K=SHARE`. Raises UsageError."""
    k, _, share = text.partition("=")
    try:
        bound = int(k), float(share)
    except ValueError:
        raise UsageError(f"'{text}': K=SHARE is needed, as in 1=0.98") from None
    if not -1 <= bound[1] <= 1:
        raise UsageError(f"'{text}': a share of one is needed")
    return bound


def label_rule(labels: Path | None, pattern: str | None, classes: Path | None) -> FileLabels | PatternLabels | None:
    """Where labels come from; None: from the data. Raises UsageError for options that exclude each other."""
    if labels and pattern:
        raise UsageError("--labels and --label-pattern: give one of them")
    if classes and not pattern:
        raise UsageError("--classes needs --label-pattern")
    if labels:
        return FileLabels(labels)
    return PatternLabels(pattern, read_classes(classes) if classes else ()) if pattern else None
