"""A result as JUnit XML: a suite per network and stage, a case per tensor."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

PASSING = ("EQUAL", "WITHIN", "EXTRA")


def render_junit(result: dict[str, Any]) -> str:
    """XML text for a result in the form of `Result.to_dict()`."""
    model = str((result.get("model") or {}).get("name", ""))
    target = str((result.get("target") or {}).get("name", ""))
    root = ET.Element("testsuites", name=f"bittrue {result.get('kind', '')}")
    for net in result.get("nets") or []:
        tensors = net.get("tensors") or []
        failed = [t for t in tensors if t["verdict"] not in PASSING]
        suite = ET.SubElement(
            root,
            "testsuite",
            name=f"{net['name']} stage {net['stage']}",
            tests=str(len(tensors)),
            failures=str(len(failed)),
            errors="1" if net.get("error") else "0",
        )
        for t in tensors:
            case = ET.SubElement(
                suite, "testcase", classname=f"{model}.{target}.stage{net['stage']}", name=f"{t['name']} ({t['role']})"
            )
            if t["verdict"] not in PASSING:
                message = f"{t['n_bad']} of {t['n']} elements differ, largest difference {t['lsb_max']}"
                ET.SubElement(case, "failure", type=t["verdict"], message=message)
        if net.get("error"):
            ET.SubElement(ET.SubElement(suite, "testcase", classname=model, name="run"), "error", message=net["error"])
    return ET.tostring(root, encoding="unicode") + "\n"
