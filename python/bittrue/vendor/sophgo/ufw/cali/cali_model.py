"""`python3 -m ufw.cali.cali_model`: converts a model, tries calibrations until INT8 is good enough, and compiles it."""

from __future__ import annotations

import shlex
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from bittrue.containers.bmodel import write_atomic
from bittrue.errors import DataError, MismatchError, UsageError
from bittrue.vendor.sophgo import create_lmdb
from bittrue.vendor.sophgo.arguments import Option, Parsed, Tool
from bittrue.vendor.sophgo.calibration import run as calibration
from bittrue.vendor.sophgo.calibration.data import DataSource
from bittrue.vendor.sophgo.compilers import main as compilers
from bittrue.vendor.sophgo.compilers.frontends import FRONTENDS, Source, resolve_shapes
from bittrue.vendor.sophgo.compilers.generate import network_of
from bittrue.vendor.sophgo.compilers.options import COMPILERS
from bittrue.vendor.sophgo.ufw.cali.preprocess import Steps
from bittrue.vendor.sophgo.ufw.cali.scores import SCORERS, Sample
from bittrue.vendor.sophgo.ufw.net import FP32, INT8, BlobNet
from bittrue.vendor.sophgo.ufw.tools.convert import set_data

# In this order after the sets of the command line [assumed].
METHODS = ("KL", "MSE", "PERCENTILE9999", "MAX", "ADMM", "ACIQ")
OPTION_SETS = ("-accuracy_opt", "-per_channel", "-conv_group")
TOOL = Tool(
    "cali_model",
    "From a model to an INT8 bmodel: converts, calibrates until the loss is small enough, compiles.",
    (
        Option("net_name", "text", "name of the network", required=True),
        Option("model", "path", "prototxt or .onnx", required=True),
        Option("weight", "path", "caffemodel of a prototxt", aliases=("weights",)),
        Option("input_shapes", "shapes", "shapes of the inputs", required=True),
        Option("input_names", "names", "inputs of an ONNX model", []),
        Option("output_names", "names", "outputs of an ONNX model", []),
        Option("target", "text", "chip", "BM1684", choices=("BM1684", "BM1684X", "BM1686")),
        Option("outdir", "path", "folder to write; default: that of the model"),
        Option("cali_lmdb", "path", "LMDB to calibrate on"),
        Option("cali_image_path", "path", "or a folder of pictures"),
        Option("cali_image_preprocess", "text", "steps: resize_h=..,resize_w=..;mean_value=a:b:c,scale=..", ""),
        Option("cali_iterations", "int", "records to calibrate on", 200),
        Option("test_iterations", "int", "records to score", 50),
        Option("test_batch_size", "int", "batch of the compiled network", 1),
        Option("fp32_layer_list", "names", "layers that stay in float", []),
        Option("convert_bmodel_cmd_opt", "text", "further options of bmnetu", ""),
        Option("try_cali_accuracy_opt", "text", "options of calibration_use_pb to try first, sets separated by ;", ""),
        Option("postprocess_and_calc_score_class", "text", "the score", "feature_similarity", choices=tuple(SCORERS)),
        Option("accuracy_drop", "float", "loss of the score that is small enough", 0.01),
        Option("debug_cmd", "text", "accepted, no effect", ""),
    ),
    "python3 -m ufw.cali.cali_model --net_name=net --model=net.prototxt --weight=net.caffemodel"
    " --input_shapes=[1,3,224,224] --cali_lmdb=lmdb --outdir=out",
)


def run(arguments: Sequence[str]) -> int:
    """The tool; returns its exit code."""
    return TOOL.run(arguments, _run)


@dataclass(frozen=True)
class Trial:
    """A calibration: its options, the loss of the score, and the files (stem) it was kept as."""

    options: str
    loss: float
    stem: Path


def _run(options: Parsed) -> None:
    if bool(options["cali_lmdb"]) == bool(options["cali_image_path"]):
        raise UsageError(f"{TOOL.name}: exactly one of --cali_lmdb and --cali_image_path is needed")
    steps = Steps.parse(options["cali_image_preprocess"])
    model = Path(options["model"])
    outdir = Path(options["outdir"] or model.parent)
    prototxt, umodel = _convert(options, model, outdir, steps)
    best = _search(options, prototxt, umodel)
    folder = outdir / f"{options['net_name']}_batch{options['test_batch_size']}"
    print(f"chosen: {best.options} (loss {best.loss:.4f}, {options['accuracy_drop']:g} is allowed)")
    compilers.run(
        "bmnetu",
        [
            f"-model={best.stem}_deploy_int8_unique_top.prototxt", f"-weight={best.stem}.int8umodel", "-prec=INT8",
            f"-max_n={options['test_batch_size']}", f"-net_name={options['net_name']}", f"-outdir={folder}",
            f"-target={options['target']}", *shlex.split(options["convert_bmodel_cmd_opt"]),
        ],
    )  # fmt: skip
    if best.loss > options["accuracy_drop"]:
        raise MismatchError(
            f"{TOOL.name}: no calibration is within {options['accuracy_drop']:g}; the best loses {best.loss:.4f}"
        )


def _convert(options: Parsed, model: Path, outdir: Path, steps: Steps) -> tuple[Path, Path]:
    """The fp32umodel and its test prototxt, whose data layer reads the records."""
    compiler = "bmneto" if model.suffix.lower() == ".onnx" else "bmnetc"
    if compiler == "bmnetc" and not options["weight"]:
        raise UsageError(f"{TOOL.name}: --weight is necessary for {model}")
    lmdb = Path(options["cali_lmdb"] or outdir / f"{options['net_name']}_lmdb")
    source = Source(
        compiler,
        model,
        Path(options["weight"]) if options["weight"] else None,
        input_names=tuple(options["input_names"]),
        output_names=tuple(options["output_names"]),
    )
    for path in (model, source.weight):
        if path and not path.is_file():
            raise DataError(f"{path}: no such file")
    shapes = resolve_shapes(FRONTENDS[compiler].inputs(source), options["input_shapes"], False, None)
    net = network_of(source, shapes)
    if options["cali_image_path"]:
        height, width = steps.size
        create_lmdb.run(
            [
                f"--imageset_rootfolder={options['cali_image_path']}", f"--imageset_lmdbfolder={lmdb}", "--force",
                f"--resize_height={height}", f"--resize_width={width}",
            ]
        )  # fmt: skip
    set_data(net, lmdb, shapes, steps.parameter if steps.parameter.transform_op else None)
    stem = outdir / f"{options['net_name']}_bmnet{COMPILERS[compiler].letter}"
    prototxt, umodel = stem.with_name(f"{stem.name}_test_fp32.prototxt"), stem.with_name(f"{stem.name}.fp32umodel")
    outdir.mkdir(parents=True, exist_ok=True)
    write_atomic(prototxt, net.prototxt_text().encode())
    write_atomic(umodel, net.float_umodel().SerializeToString(deterministic=True))
    return prototxt, umodel


def option_sets(text: str) -> Iterator[str]:
    """Options of the calibrator in the order they are tried, given ones first."""
    yield from (part.strip() for part in text.split(";") if part.strip())
    yield from (f"-th_method={m}" for m in METHODS)


def _search(options: Parsed, prototxt: Path, umodel: Path) -> Trial:
    """The first calibration within the allowed loss, or the best of all."""
    best: Trial | None = None
    fixed = f"-fpfwd_blocks={','.join(options['fp32_layer_list'])}" if options["fp32_layer_list"] else ""

    def tried(words: str, number: int) -> Trial:
        started = time.monotonic()
        stem = umodel.with_name(f"{umodel.stem}_{number}")
        trial = Trial(words, _loss(options, prototxt, umodel, f"{words} {fixed}", stem), stem)
        print(f"loss {trial.loss:.4f}, {time.monotonic() - started:.1f} s: {words}", flush=True)
        return trial

    number = 0
    for words in option_sets(options["try_cali_accuracy_opt"]):
        trial = tried(words, number)
        number += 1
        best = trial if best is None or trial.loss < best.loss else best
        if best.loss <= options["accuracy_drop"]:
            return best
    for more in OPTION_SETS:
        assert best is not None
        trial = tried(f"{best.options} {more}", number)
        number += 1
        best = trial if trial.loss < best.loss else best
        if best.loss <= options["accuracy_drop"]:
            break
    assert best is not None
    return best


def _loss(options: Parsed, prototxt: Path, umodel: Path, words: str, stem: Path) -> float:
    """Loss of the score of a calibration, whose files are kept under `stem`."""
    copy = stem.with_suffix(umodel.suffix)
    shutil.copyfile(umodel, copy)
    calibration.run(
        [
            "quantize", f"-model={prototxt}", f"-weights={copy}", f"-iterations={options['cali_iterations']}",
            f"-target={options['target']}", "-save_test_proto", *shlex.split(words),
        ]
    )  # fmt: skip
    copy.unlink()
    int8 = copy.with_suffix(".int8umodel")
    nets = [
        BlobNet(stem.with_name(f"{stem.name}_deploy_{precision}_unique_top.prototxt"), int8, mode)
        for precision, mode in (("fp32", FP32), ("int8", INT8))
    ]
    tested = BlobNet(stem.with_name(f"{stem.name}_test_fp32_unique_top.prototxt"), int8, FP32).network
    source = DataSource.of(tested)
    graph = tested.graph({source.blob: source.shape})
    samples = []
    for record in islice(source.records(graph, tested, None), options["test_iterations"]):
        blobs = [net.run(record.feeds) for net in nets]
        truth, got = ({o: net.blob(b, o) for o in graph.outputs} for net, b in zip(nets, blobs, strict=True))
        samples.append(Sample(truth, got, record.labels))
    before, after = SCORERS[options["postprocess_and_calc_score_class"]](graph, samples)
    return before - after


if __name__ == "__main__":
    import sys

    from bittrue.cli.main import main

    main([TOOL.name, *sys.argv[1:]])
