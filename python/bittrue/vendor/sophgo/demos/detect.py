"""`detect_demo` and `face_demo`: boxes of a network in one picture, in float or INT8, drawn into a PNG file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bittrue.audit.detection.boxes import Detections
from bittrue.audit.detection.decoders import DECODERS, decoder_of, load_decoder
from bittrue.audit.detection.drawing import write_picture
from bittrue.audit.detection.run import DetectOptions, DetectResult, compare_detections, detect, pictures_of
from bittrue.audit.networks import float_network
from bittrue.calibrate.data import PICTURES, Records
from bittrue.errors import DataError, UsageError
from bittrue.vendor.sophgo.arguments import Option, Parsed, Tool
from bittrue.vendor.sophgo.demos.networks import (
    PICTURE_OPTIONS,
    compiled_network,
    float_graph,
    is_compiled,
    picture_options,
    umodel_networks,
)
from bittrue.vendor.sophgo.umodel import is_int8_umodel

FLOAT_PICTURE, INT8_PICTURE = "detection.png", "detection_int8.png"


def tool(name: str) -> Tool:
    """The demo under one of its names."""
    return Tool(
        name,
        "Boxes that a detector finds in a picture. INT8 boxes are compared with those of the float network.",
        (
            Option(
                "decoder", "text", "How outputs become boxes; default: by the layer it ends in", choices=tuple(DECODERS)
            ),
            Option("fp32weights", "path", "Float weights, where the second word is a compiled model"),
            Option("outdir", "path", f"Where {FLOAT_PICTURE} and {INT8_PICTURE} are written", "."),
            *PICTURE_OPTIONS,
        ),
        f"{name} net_deploy_int8_unique_top.prototxt net.int8umodel 0.7 picture.jpg --mean 104,117,123",
        ("PROTOTXT", "UMODEL", "THRESHOLD", "PICTURE"),
    )


def run(name: str, arguments: Sequence[str]) -> int:
    """The tool; returns its exit code."""
    return tool(name).run(arguments, lambda options: _run(name, options))


def _run(name: str, options: Parsed) -> None:
    if len(options.words) != 4:
        raise UsageError(f"{name}: PROTOTXT UMODEL THRESHOLD PICTURE are needed, got {len(options.words)} words")
    prototxt, weights, picture_file = (Path(options.words[i]) for i in (0, 1, 3))
    threshold, preprocess = _threshold(name, options.words[2]), picture_options(options)
    if picture_file.suffix.lower() not in PICTURES:
        raise DataError(f"{picture_file}: not a picture ({', '.join(sorted(PICTURES))})")
    quantized = None
    if is_compiled(weights):
        graph = float_graph(prototxt, Path(options["fp32weights"]) if options["fp32weights"] else None)
        quantized = compiled_network(weights, graph)
    elif is_int8_umodel(weights):
        graph, quantized = umodel_networks(prototxt, weights)
    else:
        graph = float_graph(prototxt, weights)
    decoder = load_decoder(options["decoder"]) if options["decoder"] else decoder_of(graph)
    detect_options = DetectOptions(score=threshold, floor=threshold)
    pictures = pictures_of(Records(graph, picture_file, preprocess))
    reference = detect(float_network(graph, "fp32"), pictures, decoder, detect_options)
    found, result = reference, None
    if quantized is not None:
        found = detect(quantized, pictures, decoder, detect_options)
        result = compare_detections(pictures, reference, found, detect_options)
    out = Path(options["outdir"]) / (INT8_PICTURE if result else FLOAT_PICTURE)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_picture(picture_file, found[0], out)
    print("\n".join([*box_lines(found[0]), *(comparison_lines(result) if result else [])]))


def _threshold(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise UsageError(f"{name}: threshold {text}: a score from 0 to 1 is needed")
    return value


def box_lines(found: Detections) -> list[str]:
    """The vendor's lines: the number of boxes, then upper left corner and size of each in whole pixels [documented: the
    words; assumed: the blanks between them]."""
    corners = found.boxes.round().astype(int).tolist()
    boxes = [f"x1={x0} y1={y0} w={x1 - x0} h={y1 - y0}" for x0, y0, x1, y1 in corners]
    return [f"final predict {len(found)} bboxes", *boxes]


def comparison_lines(result: DetectResult) -> list[str]:
    """INT8 against float, which the vendor's demo does not say."""
    line = f"fp32 {result.float_boxes} bboxes: matched {result.matched}, missing {result.missing}, extra {result.extra}"
    if result.mean_overlap is None or result.score_difference is None:
        return [line]
    return [f"{line}, mean IoU {result.mean_overlap:.4f}, max score difference {result.score_difference:.4f}"]
