"""A result as JUnit XML (xunit2): a suite per network and stage, a case per tensor."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree as ET

from bittrue.verify.verdict import PASSING

COMPARING = ("verify", "compare", "demo")  # kinds of results that must compare something
# Characters that XML 1.0 cannot hold, not even as references.
FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render_junit(result: dict[str, Any]) -> str:
    """XML text for a result in the form of `Result.to_dict()`; absent parts are left out.

    A stage that failed to run, or that compared nothing, is an error: it never reads as success.
    """
    model, target = (str((result.get(part) or {}).get("name") or "") for part in ("model", "target"))
    prefix = ".".join(part for part in (model or "model", target) if part)
    root = ET.Element("testsuites", name=_text(f"bittrue {result.get('kind') or ''}".strip()))
    time = str(result.get("time") or "")[:19]
    for i, net in enumerate(result.get("nets") or []):
        stage = net.get("stage", i)
        name = f"{net.get('name') or model or 'net'} stage {stage}"
        _suite(root, name, f"{prefix}.stage{stage}", time, net.get("tensors") or [], str(net.get("error") or ""))
    if not result.get("nets") and result.get("kind") in COMPARING:
        _suite(root, model or "result", prefix, time, [], "")
    for count in ("tests", "failures", "errors"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in root)))
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(root: ET.Element, name: str, classname: str, time: str, tensors: list[dict[str, Any]], error: str) -> None:
    suite = ET.SubElement(root, "testsuite", name=_text(name))
    failures = 0
    for t in tensors:
        title = f"{t.get('name') or t.get('layer') or 'tensor'}" + (f" ({t['role']})" if t.get("role") else "")
        case = ET.SubElement(suite, "testcase", classname=_text(classname), name=_text(title), time="0")
        verdict = str(t.get("verdict") or "UNKNOWN")
        if verdict not in PASSING:
            failures += 1
            failure = ET.SubElement(case, "failure", type=_text(verdict), message=_text(_sentence(t, verdict)))
            failure.text = _text("\n".join(_place(w) for w in t.get("worst") or [])) or None
    if not error and not failures and not any(t.get("n") for t in tensors):
        error = "no tensor was compared"
    if error:
        case = ET.SubElement(suite, "testcase", classname=_text(classname), name="run", time="0")
        ET.SubElement(case, "error", type="ERROR", message=_text(error))
    counts = {"tests": len(tensors) + bool(error), "failures": failures, "errors": int(bool(error)), "skipped": 0}
    for key, count in counts.items():
        suite.set(key, str(count))
    suite.set("time", "0")
    if time:
        suite.set("timestamp", _text(time))


def _sentence(t: dict[str, Any], verdict: str) -> str:
    where = f"{t.get('op') or t.get('dtype') or 'tensor'} {t.get('layer') or t.get('name') or ''}".strip()
    if not t.get("n"):
        return f"{where}: {verdict}, {t.get('detail') or 'not compared'}"
    counts = f"{t.get('n_bad', 0)} of {t['n']} elements differ"
    sentence = f"{where}: {verdict}, {counts}, largest difference {t.get('max_abs', 'unknown')}"
    causes = [str(c.get("sentence") or "") for c in t.get("causes") or []]
    return "; ".join(part for part in (sentence, str(t.get("origin") or ""), *causes[:1]) if part)


def _place(w: dict[str, Any]) -> str:
    index = ", ".join(map(str, w.get("index") or []))
    return f"[{index}] reference {w.get('ref')}, got {w.get('got')}"


def _text(text: str) -> str:
    return FORBIDDEN.sub("�", text)
