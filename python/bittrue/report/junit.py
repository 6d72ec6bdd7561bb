"""A result as JUnit XML (xunit2): a suite per network and stage, a case per tensor."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

from bittrue.report.provenance import Fact, provenance
from bittrue.report.show import printable
from bittrue.verify.verdict import PASSING

COMPARING = ("verify", "compare", "demo")  # kinds of results that must compare something
OUTCOMES = {"failures": "failure", "errors": "error", "skipped": "skipped"}  # count -> element


def render_junit(result: dict[str, Any]) -> str:
    """XML text for a result in the form of `Result.to_dict()`; absent parts are left out.

    Every suite has a case `guard_rails` that fails if nothing was compared: that never reads as success. A stage that
    failed to run is an error. Tensors that the policy does not require and that differ are skipped, with a word.
    """
    model, target = (str((result.get(part) or {}).get("name") or "") for part in ("model", "target"))
    prefix = ".".join(part for part in (model or "model", target) if part)
    root = ET.Element("testsuites", name=printable(f"bittrue {result.get('kind') or ''}".strip()))
    nets = list(result.get("nets") or [])
    if not nets and result.get("kind") in COMPARING:
        nets = [{"name": model or "result", "stage": 0}]
    for i, net in enumerate(nets):
        stage = net.get("stage", i)
        suite = ET.SubElement(root, "testsuite", name=printable(f"{net.get('name') or model or 'net'} stage {stage}"))
        if result.get("time"):
            suite.set("timestamp", printable(result["time"])[:19])
        _properties(suite, [*provenance(result), *_rules(result.get("policy") or {})])
        _cases(suite, f"{prefix}.stage{stage}", net, [str(w) for w in result.get("warnings") or []])
    for element in (*root, root):
        for count, tag in {"tests": "testcase", **OUTCOMES}.items():
            element.set(count, str(len(element.findall(f".//{tag}"))))
        element.set("time", "0")
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _properties(suite: ET.Element, facts: list[Fact]) -> None:
    properties = ET.SubElement(suite, "properties")
    for fact in facts:
        ET.SubElement(properties, "property", name=printable(f"{fact.part}.{fact.name}"), value=printable(fact.value))


def _rules(policy: dict[str, Any]) -> list[Fact]:
    rules = enumerate(policy.get("rules") or [], start=1)
    return [Fact("policy", f"rule {number} reason", str(rule.get("reason") or "")) for number, rule in rules]


def _cases(suite: ET.Element, classname: str, net: dict[str, Any], warnings: list[str]) -> None:
    def case(name: str) -> ET.Element:
        return ET.SubElement(suite, "testcase", classname=printable(classname), name=printable(name), time="0")

    tensors = net.get("tensors") or []
    guard = case("guard_rails")
    if not any(t.get("n") for t in tensors):
        ET.SubElement(guard, "failure", type="NOTHING_COMPARED", message="no tensor was compared")
    if warnings:
        ET.SubElement(guard, "system-out").text = printable("\n".join(f"warning: {w}" for w in warnings))
    if net.get("error"):
        ET.SubElement(case("run"), "error", type="ERROR", message=printable(net["error"]))
    for t in tensors:
        name = f"{t.get('name') or t.get('layer') or 'tensor'}" + (f" ({t['role']})" if t.get("role") else "")
        _outcome(case(name), t)


def _outcome(case: ET.Element, t: dict[str, Any]) -> None:
    verdict = str(t.get("verdict") or "UNKNOWN")
    if verdict == "EXTRA":
        ET.SubElement(case, "system-out").text = printable(t.get("detail") or "in the run only")
    if verdict in PASSING:
        return
    if t.get("required") is False:
        ET.SubElement(case, "skipped", message=printable(f"not required by the policy; {_sentence(t, verdict)}"))
        return
    tag = "error" if verdict == "NOT_SIMULATED" else "failure"
    element = ET.SubElement(case, tag, type=printable(verdict), message=printable(_sentence(t, verdict)))
    causes = [str(c["sentence"]) for c in t.get("causes") or [] if c.get("sentence")]
    element.text = printable("\n".join([*causes, *map(_place, t.get("worst") or [])])) or None


def _sentence(t: dict[str, Any], verdict: str) -> str:
    where = f"{t.get('op') or t.get('dtype') or 'tensor'} {t.get('layer') or t.get('name') or ''}".strip()
    if not t.get("n"):
        return f"{where}: {verdict}, {t.get('detail') or 'not compared'}"
    counts = f"{t.get('n_bad', 0)} of {t['n']} elements differ"
    sentence = f"{where}: {verdict}, {counts}, largest difference {t.get('max_abs', 'unknown')}"
    causes = [str(c.get("sentence") or "") for c in t.get("causes") or []]
    parts = (sentence, str(t.get("origin") or ""), str(t.get("detail") or ""), *causes[:1])
    return "; ".join(part for part in parts if part)


def _place(w: dict[str, Any]) -> str:
    index = ", ".join(map(str, w.get("index") or []))
    return f"[{index}] reference {w.get('ref')}, got {w.get('got')}"
