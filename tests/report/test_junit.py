"""The JUnit file, held against what Jenkins' schema (junit-10.xsd) allows, as other CI systems do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from loadgen.report.figures import NOTHING
from loadgen.report.junit import render, write_junit
from loadgen.store import open_run
from tests.made_run import drift_rows, make_run

if TYPE_CHECKING:
    from pathlib import Path

ATTRIBUTES = {
    "testsuites": {"name", "tests", "failures", "errors", "time"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"},
    "property": {"name", "value"},
    "testcase": {"classname", "name", "time"},
    "failure": {"message", "type"},
    "error": {"message", "type"},
}
CHILDREN = {
    "testsuites": ("testsuite",),
    "testsuite": ("properties", "testcase"),
    "properties": ("property",),
    "testcase": ("error", "failure", "system-out"),
}


def check(text: str) -> ET.Element:
    """Check the form, and that the numbers are those of the cases; gives the suite."""
    root = ET.fromstring(text)
    assert root.tag == "testsuites"
    for element in root.iter():
        assert set(element.attrib) == ATTRIBUTES.get(element.tag, set()), element.tag
        allowed = CHILDREN.get(element.tag, ())
        order = [allowed.index(child.tag) for child in element]
        assert order == sorted(order), element.tag
        if element.tag == "testcase":
            assert len(element) <= 1
    (suite,) = root
    cases = suite.findall("testcase")
    counts = {
        "tests": len(cases),
        "failures": len(suite.findall("testcase/failure")),
        "errors": len(suite.findall("testcase/error")),
    }
    for element in (root, suite):
        assert {key: int(element.attrib[key]) for key in counts} == counts
        assert float(element.attrib["time"]) >= 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.attrib["timestamp"])
    assert len({(case.attrib["classname"], case.attrib["name"]) for case in cases}) == len(cases)
    return suite


def case(suite: ET.Element, name: str) -> ET.Element:
    (found,) = (each for each in suite.findall("testcase") if each.attrib["name"] == name)
    return found


@pytest.fixture
def made(tmp_path: Path) -> dict[str, Any]:
    return open_run(make_run(tmp_path)).result


def test_each_threshold_is_a_case_with_what_was_measured(made: dict[str, Any]) -> None:
    suite = check(render(made))
    assert suite.attrib["name"] == "made"
    lost = case(suite, "messages_lost: count == 0")
    assert lost.attrib["classname"] == "made.promise"
    failure = lost.find("failure")
    assert failure is not None
    assert failure.attrib == {"message": "count == 0: measured 1", "type": "fail"}
    held = case(suite, "publish_latency{during: kill}: p99 < 2s")
    assert held.attrib["classname"] == "made.threshold"
    assert held.findtext("system-out") == "p99 < 2s: measured 250 ms"
    assert held.find("failure") is None
    assert len(suite.findall("testcase")) == len(made["thresholds"]) + 1


def test_the_verdict_is_a_case_for_what_no_threshold_says(made: dict[str, Any]) -> None:
    made["thresholds"] = []
    made["reasons"] = ["3 clients did not come back", "a worker was lost"]
    suite = check(render(made))
    failure = case(suite, "verdict").find("failure")
    assert failure is not None
    assert failure.attrib["message"] == "3 clients did not come back; a worker was lost"


def test_what_was_not_measured_is_an_error(made: dict[str, Any]) -> None:
    made["thresholds"][0] |= {"verdict": "invalid", "value": None, "reason": "no samples"}
    made |= {"verdict": "invalid"}
    suite = check(render(made))
    error = case(suite, "publish_latency: p99 < 1s").find("error")
    assert error is not None
    assert error.attrib["message"] == f"p99 < 1s: measured {NOTHING}"
    assert "no samples" in (error.text or "")
    assert case(suite, "verdict").find("error") is not None


def test_a_warning_passes_and_says_so(made: dict[str, Any]) -> None:
    made["thresholds"][0] |= {"verdict": "warn", "level": "warn", "reason": "it was 2 s"}
    suite = check(render(made))
    warned = case(suite, "publish_latency: p99 < 1s")
    assert [child.tag for child in warned] == ["system-out"]
    assert (warned.findtext("system-out") or "").startswith("WARNING: p99 < 1s: measured 293 ms\nit was 2 s")


def test_each_expectation_is_a_case(made: dict[str, Any]) -> None:
    made["expectations"] = [
        {
            "case": "revoked",
            "expected": "TLS alert certificate_revoked",
            "got": {"accepted": 3},
            "clients": 3,
            "slowest": 0.2,
            "verdict": "fail",
            "reason": "group revoked: 3 clients were accepted",
        }
    ]
    found = case(check(render(made)), "revoked")
    assert found.attrib["classname"] == "made.expectation"
    failure = found.find("failure")
    assert failure is not None
    assert "got accepted x3" in failure.attrib["message"]


def test_each_limit_of_a_drift_is_a_case(made: dict[str, Any]) -> None:
    made["drift"] = drift_rows()
    suite = check(render(made))
    found = case(suite, "broker_memory: < 5%/h")
    assert found.attrib["classname"] == "made.drift"
    failure = found.find("failure")
    assert failure is not None
    assert "+20.0 MB (+20.0 %) an hour" in failure.attrib["message"]
    assert len(suite.findall("testcase")) == len(made["thresholds"]) + 2  # one row has no limit


def test_a_pass_has_no_failure(good_result: dict[str, Any]) -> None:
    suite = check(render(good_result))
    assert (suite.attrib["failures"], suite.attrib["errors"]) == ("0", "0")


def test_what_a_run_says_cannot_break_the_file(made: dict[str, Any], no_result: dict[str, Any]) -> None:
    nasty = 'a<b>&"\x00\x1b]]>\ud800\uffff'
    made["scenario"]["name"] = nasty
    made["thresholds"][0] |= {"metric": nasty, "reason": nasty, "verdict": "fail"}
    made["reasons"] = [nasty]
    check(render(made))
    check(render(no_result))
    check(render({}))


def test_the_file_is_written_with_its_folder(made: dict[str, Any], tmp_path: Path) -> None:
    path = write_junit(made, tmp_path / "deep" / "junit.xml")
    assert path.read_text(encoding="utf-8").startswith('<?xml version="1.0" encoding="UTF-8"?>')
    check(path.read_text(encoding="utf-8"))
