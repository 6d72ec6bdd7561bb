"""`bittrue targets list|show|ops|diff`."""

from __future__ import annotations

import json

import click

from bittrue.targets.loader import list_targets, load_target


@click.group("targets")
def targets_group() -> None:
    """Targets: their arithmetic rules and ops, with how each is known.

    \b
    Example:
      bittrue targets ops bm1684
    """


@targets_group.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_command(as_json: bool) -> None:
    """Names, chips and precisions."""
    profiles = list_targets()
    if as_json:
        click.echo(json.dumps([p.model_dump(include={"name", "aliases", "chip", "precisions"}) for p in profiles]))
        return
    for p in profiles:
        alias = f" ({', '.join(p.aliases)})" if p.aliases else ""
        click.echo(f"{p.name}{alias}: {p.description}; {', '.join(p.precisions)}")


@targets_group.command("show")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show_command(name: str, as_json: bool) -> None:
    """The named rules of a target with value, choices and evidence."""
    profile = load_target(name).profile
    if as_json:
        click.echo(json.dumps(profile.model_dump(), indent=1))
        return
    click.echo(f"{profile.name}: {profile.description}")
    for key, rule in profile.rules.items():
        choices = f"  ({', '.join(map(str, rule.choices))})" if rule.sets else ""
        click.echo(f"  {key} = {rule.value}{choices}  [{rule.evidence}]  {rule.note}".rstrip())


@targets_group.command("ops")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def ops_command(name: str, as_json: bool) -> None:
    """What a target runs, as which op, and how its arithmetic is known."""
    ops = load_target(name).profile.ops
    if as_json:
        click.echo(json.dumps({k: {p: s.model_dump() for p, s in v.items()} for k, v in ops.items()}, indent=1))
        return
    click.echo(f"{'op':<24} {'precision':<9} {'runs as':<22} evidence")
    for op in sorted(ops):
        for precision, support in ops[op].items():
            click.echo(f"{op:<24} {precision:<9} {support.runs_as:<22} {support.evidence:<10} {support.note}".rstrip())


@targets_group.command("diff")
@click.argument("first")
@click.argument("second")
def diff_command(first: str, second: str) -> None:
    """Ops that differ between two targets."""
    a, b = load_target(first).profile, load_target(second).profile
    for op in sorted({*a.ops, *b.ops}):
        for precision in ("int8", "float"):
            left, right = a.ops.get(op, {}).get(precision), b.ops.get(op, {}).get(precision)
            if (left and (left.runs_as, left.evidence)) != (right and (right.runs_as, right.evidence)):
                texts = [f"{s.runs_as} [{s.evidence}]" if s else "-" for s in (left, right)]
                click.echo(f"{op:<24} {precision:<6} {a.name}: {texts[0]:<32} {b.name}: {texts[1]}")
