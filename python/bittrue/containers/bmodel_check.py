"""Consistency checks of a .bmodel beyond what reading it demands."""

from __future__ import annotations

from itertools import combinations

from bittrue.containers.bmodel import Bmodel, StageRef, check_codes
from bittrue.containers.bmodel_codes import type_name
from bittrue.containers.bmodel_edit import stage_conflict
from bittrue.containers.build import read_compiled, stage_kind
from bittrue.errors import BittrueError


def check_model(model: Bmodel) -> list[str]:
    """One line for each finding: coefficient hashes, Locations, names, stages in conflict, payloads, data types."""
    findings = check_codes(model)
    names = [net.name for net in model.nets]
    findings += [f"net name '{n}' appears {names.count(n)} times" for n in dict.fromkeys(names) if names.count(n) > 1]
    for i, net in enumerate(model.nets):
        stages = net.parameter or []
        if not stages:
            findings.append(f"net[{i}] has no stage")
        for (a, first), (b, second) in combinations(enumerate(stages), 2):
            if reason := stage_conflict(first, second):
                findings.append(f"net[{i}] stages {a} and {b}: {reason}")
    for ref in model.stages():
        where = f"net[{ref.net_index}] stage[{ref.stage_index}]"
        findings += [f"{where}: {text}" for text in (*_locations(ref), *_payload(ref), *_tensors(ref))]
    return findings


def _locations(ref: StageRef) -> list[str]:
    coeff = ref.stage.coeff_mem
    if coeff is None or not coeff.location:
        return []
    total = coeff.binary_coeff.size if coeff.binary_coeff is not None else 0
    findings = []
    end = 0
    names = set()
    for loc in sorted(coeff.location, key=lambda x: (x.offset, x.size)):
        if loc.name in names:
            findings.append(f"Location '{loc.name}' appears twice")
        names.add(loc.name)
        if loc.offset + loc.size > total:
            findings.append(f"Location '{loc.name}' ends at 0x{loc.offset + loc.size:x}, the blob at 0x{total:x}")
        if loc.offset < end:
            findings.append(f"Location '{loc.name}' overlaps the one before it")
        elif loc.offset > end:
            findings.append(f"no Location covers [0x{end:x}, 0x{loc.offset:x})")
        end = max(end, loc.offset + loc.size)
    if end < total:
        findings.append(f"no Location covers [0x{end:x}, 0x{total:x})")
    return findings


def _payload(ref: StageRef) -> list[str]:
    if stage_kind(ref.stage) != "bittrue":
        return []
    findings = []
    if ref.stage.is_dynamic:
        findings.append("is_dynamic is set: a device would run the payload as its own instructions")
    try:
        read_compiled(ref.stage)
    except BittrueError as e:
        findings.append(str(e))
    return findings


def _tensors(ref: StageRef) -> list[str]:
    findings = []
    for title, side in (("input", ref.stage.input_tensor), ("output", ref.stage.output_tensor)):
        names = [t.name for t in side]
        findings += [f"{title} '{n}' appears twice" for n in dict.fromkeys(names) if names.count(n) > 1]
        findings += [
            f"{title} '{t.name}' has unknown data_type {t.data_type}"
            for t in side
            if type_name(t.data_type) == "unkown"
        ]
    return findings
