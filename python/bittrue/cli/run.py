"""`bittrue run FILE --input X.npz --output Y.npz`."""

from __future__ import annotations

from pathlib import Path

import click

from bittrue import api
from bittrue.verify.compare import read_archive


@click.command("run")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--input", "input_file", type=click.Path(path_type=Path), required=True, help=".npz, key = input name.")
@click.option("--output", "output_file", type=click.Path(path_type=Path), required=True, help=".npz to write.")
@click.option("--all-tensors", is_flag=True, help="Write every layer's output, not only the network outputs.")
@click.option("--counters", is_flag=True, help="Print saturation and accumulator range per layer.")
@click.option("--net", help="Network name, for files with several.")
@click.option("--stage", type=int, default=0, show_default=True)
@click.option("--path", help="Instruction set path to force (see `bittrue doctor`).")
@click.option("--threads", type=int, help="Threads; the result does not depend on it.")
def run_command(
    file: Path,
    input_file: Path,
    output_file: Path,
    all_tensors: bool,
    counters: bool,
    net: str | None,
    stage: int,
    path: str | None,
    threads: int | None,
) -> None:
    """Simulate a compiled model (.bmodel, quantized .onnx or context directory) bit by bit.

    \b
    Example:
      bittrue run demo_output/bm1684/compilation.bmodel --input x.npz --output y.npz --all-tensors
    """
    model = api.load(file, net=net, stage=stage)
    feeds = read_archive(input_file)
    result = api.Session(model.graph, path=path, threads=threads).run(feeds, trace=all_tensors, counters=counters)
    api.write_npz(output_file, {**result.trace, **result.outputs})
    for name, value in result.outputs.items():
        click.echo(f"{name}: {value.dtype} {list(value.shape)}")
    if counters:
        click.echo(f"{'layer':<40} {'values':>10} {'sat low':>8} {'sat high':>8} {'overflow':>8} accumulator")
        for name, c in result.counters.items():
            if c["values"]:
                click.echo(
                    f"{name:<40} {c['values']:>10} {c['saturated_low']:>8} {c['saturated_high']:>8} "
                    f"{c['overflowed']:>8} [{c['sum_min']}, {c['sum_max']}]"
                )
