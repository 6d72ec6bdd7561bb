"""`bittrue inspect FILE`: what an artefact is and what it holds."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import click

from bittrue import api
from bittrue.containers.archive import open_archive
from bittrue.containers.bmodel import read_bmodel
from bittrue.containers.build import stage_kind
from bittrue.errors import DataError
from bittrue.graph.ir import Graph
from bittrue.importers import CaffeOptions


def _graph_facts(graph: Graph) -> dict[str, Any]:
    def types(names: list[str]) -> dict[str, str]:
        return {n: f"{graph.types[n].dtype} {list(graph.types[n].shape)}" for n in names}

    return {
        "inputs": types(graph.inputs),
        "outputs": types(graph.outputs),
        "nodes": len(graph.nodes),
        "ops": dict(sorted(Counter(n.op for n in graph.nodes).items())),
        "constant_bytes": sum(graph.types[c].bytes for c in graph.constants),
    }


def facts_of(path: Path) -> dict[str, Any]:
    """Facts about a model, .bmodel, context directory, result or tensor archive. Raises DataError for anything else."""
    if path.is_dir():
        manifest = path / "manifest.json"
        files = {p.name: p.stat().st_size for p in sorted(path.iterdir()) if p.is_file()}
        facts: dict[str, Any] = {"kind": "context directory", "files": files}
        if (path / "compilation.bmodel").exists():
            facts["bmodel"] = facts_of(path / "compilation.bmodel")
        if manifest.exists():
            facts["manifest"] = json.loads(manifest.read_text())
        return facts
    if not path.exists():
        raise DataError(f"{path}: no such file")
    suffix = path.suffix.lower()
    if suffix == ".bmodel":
        model = read_bmodel(path)
        stages: list[dict[str, Any]] = []
        for ref in model.stages():
            kind, name = stage_kind(ref.stage), str(ref.net.name)
            entry: dict[str, Any] = {"net": name, "stage": ref.stage_index, "kind": kind}
            if kind == "bittrue":
                compiled = api.load(path, net=name, stage=ref.stage_index)
                entry |= {
                    "target": compiled.target,
                    "precision": compiled.precision,
                    **_graph_facts(compiled.graph),
                }
            stages.append(entry)
        return {"kind": "bmodel", "chip": model.chip, "version": str(model.root.version), "stages": stages}
    if suffix == ".onnx":
        if api.is_quantized_onnx(path):
            model_q = api.load(path)
            return {"kind": f"quantized graph for {model_q.target} {model_q.precision}", **_graph_facts(model_q.graph)}
        return {"kind": "float model", **_graph_facts(api.load_float(path))}
    if suffix == ".prototxt":
        graph = api.load_float(path, caffe=CaffeOptions(random_weights=0))
        return {"kind": "Caffe network", **_graph_facts(graph)}
    if suffix == ".npz":
        arrays = open_archive(path)
        return {"kind": "tensor archive", "tensors": {k: f"{v.dtype} {list(v.shape)}" for k, v in arrays.items()}}
    if suffix == ".json":
        try:
            content = json.loads(path.read_text())
        except ValueError as e:
            raise DataError(f"{path}: not JSON ({e})") from e
        schema = content.get("schema", "no schema") if isinstance(content, dict) else "no schema"
        summary = content.get("summary", {}) if isinstance(content, dict) else {}
        return {"kind": f"JSON, {schema}", "summary": summary}
    raise DataError(f"{path}: not a kind of file that bittrue knows")


def _print(value: Any, indent: int = 0) -> None:
    pad = "  " * indent
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, dict | list) and item:
                click.echo(f"{pad}{key}:")
                _print(item, indent + 1)
            else:
                click.echo(f"{pad}{key}: {item}")
    else:
        for item in value:
            if isinstance(item, dict):
                _print(item, indent)
                click.echo()
            else:
                click.echo(f"{pad}{item}")


@click.command("inspect")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def inspect_command(file: Path, as_json: bool) -> None:
    """Say what a file is and what it holds: a float or quantized model, a .bmodel, a context directory, a stored result
    or a tensor archive.

    \b
    Example:
      bittrue inspect demo_output/bm1684
    """
    facts = facts_of(file)
    click.echo(json.dumps(facts, indent=2)) if as_json else _print(facts)
