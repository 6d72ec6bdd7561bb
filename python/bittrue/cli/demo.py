"""`bittrue demo`: the main job on the shipped model and images."""

from __future__ import annotations

from pathlib import Path

import click

from bittrue import api
from bittrue.cli.output import Reports, finish
from bittrue.errors import DataError

EXAMPLE = Path("reference_data/digits")


def example_folder() -> Path:
    """The shipped example: below the working folder, or in the checkout this package was installed from."""
    for root in (Path.cwd(), Path(__file__).resolve().parents[3]):
        if (root / EXAMPLE / "digits.onnx").is_file():
            return root / EXAMPLE
    raise DataError(f"{EXAMPLE}: the example is not here; run the demo from a checkout")


@click.command("demo")
@click.option("--outdir", type=click.Path(path_type=Path), default=Path("demo_output"), show_default=True)
@click.option("--target", default="bm1684", show_default=True)
def demo_command(outdir: Path, target: str) -> None:
    """Calibrate, quantize, compile, verify and audit the shipped digits network, and write an HTML report.

    \b
    Example:
      bittrue demo --outdir demo_output
    """
    folder = example_folder()
    model = folder / "digits.onnx"
    click.echo(f"1. import    {model.name}")
    graph = api.load_float(model)
    calibration = api.records(graph, folder / "calibration.npz")
    table = api.calibrate(graph, calibration, method="kl", model_path=model)
    table.write(outdir / "digits.table")
    click.echo(f"2. calibrate {len(table.tensors)} tensors on {table.samples} images, method {table.method}")
    first = next(iter(calibration)).feeds
    context = outdir / target
    compiled = api.compile(graph, target, context, table=table, reference=first, net_name="digits", model_path=model)
    click.echo(
        f"3. compile   {len(compiled.graph.nodes)} layers for {compiled.target} {compiled.precision} -> {context}"
    )
    click.echo("4. verify")
    result = api.verify(context)
    click.echo("5. audit")
    audit = api.audit(graph, compiled, api.records(graph, folder / "test.npz"))
    result.audit = audit.as_dict()
    names = {"json": "result.json", "html": "report.html", "junit": "junit.xml", "csv": "layers.csv"}
    finish(result, Reports({key: outdir / name for key, name in names.items()}, verbose=True))
    click.echo(f"report: {outdir / 'report.html'}")
