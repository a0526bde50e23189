"""A run as JUnit XML, which CI systems show as tests: thresholds, drift, verdict.

`fail` is a failure, `invalid` an error (nothing was proved), `warn` passes and says so in its output. What
was measured stands in the message, and in the output of cases that pass.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from loadgen.report import figures
from loadgen.report.drift import drift_lines
from loadgen.report.expectations import expectation_lines
from loadgen.report.thresholds import threshold_lines

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_NO_XML = re.compile("[\ufffe\uffff]")
_ELEMENTS = {"fail": "failure", "invalid": "error"}


@dataclass(frozen=True, slots=True)
class _Case:
    kind: str
    name: str
    verdict: str
    message: str
    """What was measured, in one line."""
    more: str = ""


def write_junit(result: Mapping[str, Any], path: Path) -> Path:
    """Write the file, and the folder it is in, and give its path.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(result), encoding="utf-8")
    return path


def render(result: Mapping[str, Any]) -> str:
    """Give a result as a JUnit XML document of one suite."""
    cases = _cases(result)
    name = clean((result.get("scenario") or {}).get("name") or "run")
    counts = {
        "tests": len(cases),
        "failures": sum(case.verdict == "fail" for case in cases),
        "errors": sum(case.verdict == "invalid" for case in cases),
    }
    shared = {key: str(count) for key, count in counts.items()}
    duration = f"{result.get('duration') or 0.0:.3f}"
    root = ET.Element("testsuites", {"name": "loadgen", **shared, "time": duration})
    # The XML schema that most readers go by wants a time without zone.
    moment = str(result.get("started_at") or "1970-01-01T00:00:00")[:19]
    suite = ET.SubElement(
        root, "testsuite", {"name": name, **shared, "skipped": "0", "time": duration, "timestamp": moment}
    )
    properties = ET.SubElement(suite, "properties")
    for key, value in _properties(result).items():
        ET.SubElement(properties, "property", {"name": key, "value": clean(value)})
    for case in cases:
        _add(suite, name, case)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def clean(text: object) -> str:
    """Make text fit for XML, and one line."""
    return _NO_XML.sub(lambda found: ascii(found[0])[1:-1], figures.clean(text))


def _add(suite: ET.Element, scenario: str, case: _Case) -> None:
    attributes = {"classname": f"{scenario}.{case.kind}", "name": clean(case.name), "time": "0"}
    element = ET.SubElement(suite, "testcase", attributes)
    text = "\n".join(part for part in (case.message, case.more) if part)
    if kind := _ELEMENTS.get(case.verdict):
        trouble = ET.SubElement(element, kind, {"message": case.message, "type": case.verdict})
        trouble.text = text
    elif text:
        said = f"WARNING: {text}" if case.verdict == "warn" else text
        ET.SubElement(element, "system-out").text = said


def _properties(result: Mapping[str, Any]) -> dict[str, object]:
    broker = result.get("broker") or {}
    found = {
        "run_id": result.get("run_id"),
        "verdict": result.get("verdict"),
        "exit_code": result.get("exit_code"),
        "loadgen_version": result.get("loadgen_version"),
        "broker": " ".join(str(part) for part in (broker.get("kind"), broker.get("version")) if part),
        "seed": (result.get("scenario") or {}).get("seed"),
    }
    return {key: value for key, value in found.items() if value not in {None, ""}}


def _cases(result: Mapping[str, Any]) -> list[_Case]:
    cases = []
    for line in threshold_lines(result):
        kind = "promise" if line.default else "threshold"
        message = clean(f"{line.expression}: measured {line.value}")
        cases.append(
            _Case(kind, f"{line.metric}: {line.expression}", line.verdict, message, clean(line.reason))
        )
    for drift in drift_lines(result):
        if drift.verdict:  # without a limit it is for information
            name = f"{drift.metric}: {drift.limit}"
            cases.append(_Case("drift", name, drift.verdict, clean(drift.sentence)))
    for row in expectation_lines(result):
        message = clean(f"expected {row.expected}, got {row.got or 'nothing'}, after {row.after}")
        cases.append(_Case("expectation", row.case, row.verdict, message, clean(row.reason)))
    # Not every reason is a threshold: clients that did not come back, a worker lost, what the broker sees.
    verdict = str(result.get("verdict") or "invalid")
    reasons = [clean(reason) for reason in result.get("reasons") or []]
    summary = "; ".join(reasons) or verdict
    return [*cases, _Case("run", "verdict", verdict, summary, "\n".join(reasons) if len(reasons) > 1 else "")]
