from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from loadgen.report.markdown import code, render, text
from loadgen.store import open_run
from tests.made_run import drift_rows, make_run

if TYPE_CHECKING:
    from pathlib import Path


def tables(markdown: str) -> list[list[str]]:
    """The tables of a page, each a list of rows."""
    blocks = [block.splitlines() for block in markdown.split("\n\n")]
    return [block for block in blocks if block[0].startswith("|")]


@pytest.fixture
def made(tmp_path: Path) -> dict[str, Any]:
    return open_run(make_run(tmp_path)).result


def test_the_verdict_and_why_come_first(made: dict[str, Any]) -> None:
    lines = render(made).splitlines()
    assert lines[0] == "## ✗ FAIL: made"
    assert lines[2].startswith("13s · rabbitmq 4.3.0 · 14 clients · exit code 99 · 2")
    assert lines[4] == "- messages_lost: count == 0 does not hold, it was 1"


def test_what_a_reader_of_a_job_looks_for(made: dict[str, Any]) -> None:
    page = render(made)
    assert "| ✗ fail | `messages_lost` (default) | `count == 0` | 1 |" in page
    assert "| ✓ pass | `publish_latency{during: kill}` | `p99 < 2s` | 250 ms |" in page
    assert "| 14 of 14 | 400 | 400 | 799 of 800 | 1 | 2 |" in page
    assert "| kill | rabbit2 | 6s | 4 | reset 4 |" in page
    assert "| acknowledged | 797 ok | 2 duplicate | 1 LOST |" in page
    assert "| `publish_latency` | 320 | 5.73 ms |" in page
    assert len(page) < 3_000


def test_every_row_of_a_table_has_its_cells(made: dict[str, Any]) -> None:
    made["thresholds"][0]["metric"] = "a|b"
    made["faults"][0]["name"] = "x | y"
    for table in tables(render(made)):
        assert len({row.replace("\\|", "").count("|") for row in table}) == 1, table


def test_what_a_run_says_is_shown_as_it_is(made: dict[str, Any]) -> None:
    made["reasons"] = ["<script>alert(1)</script> [x](y) *z*\n# not a heading"]
    made["scenario"]["name"] = "`a`\x1b[31m"
    page = render(made)
    assert r"- \<script>alert(1)\</script> \[x\](y) \*z\*\\n# not a heading" in page
    assert "\x1b" not in page


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("publish_latency p99 < 5", "publish_latency p99 < 5"),
        ("_x_", r"\_x\_"),
        ("a|b $c$ ~d~", r"a\|b \$c\$ \~d\~"),
        ("&amp;", r"\&amp;"),
    ],
)
def test_escapes(words: str, shown: str) -> None:
    assert text(words) == shown


def test_a_line_stays_a_line(made: dict[str, Any]) -> None:
    made["warnings"] = ["# head", "- item", "1. item", "+5 ms"]
    assert render(made).endswith("\n\n- \\# head\n- \\- item\n- 1\\. item\n- \\+5 ms\n")


def test_code() -> None:
    assert code("p99 < 1s") == "`p99 < 1s`"
    assert code("a|b") == r"`a\|b`"
    assert code("a`b") == r"a\`b"
    assert code("") == ""


def test_a_long_list_is_cut_and_counted(made: dict[str, Any]) -> None:
    made["warnings"] = [f"warning {number}" for number in range(30)]
    page = render(made)
    assert "- warning 19\n- … and 10 more" in page
    assert "warning 20" not in page


def test_expectations_that_fail_come_first(made: dict[str, Any]) -> None:
    row = {"expected": "CONNACK 0x86", "got": {"CONNACK 0x86": 1}, "clients": 1, "slowest": 0.1, "reason": ""}
    made["expectations"] = [
        {**row, "case": "good", "verdict": "pass"},
        {**row, "case": "bad", "got": {"accepted": 1}, "verdict": "fail"},
    ]
    page = render(made)
    assert page.index("| ✗ fail | bad | CONNACK 0x86 | accepted |") < page.index("| ✓ pass | good |")


def test_drift(made: dict[str, Any]) -> None:
    made["drift"] = drift_rows()
    page = render(made)
    assert "### Drift (steady, 1h 00m)" in page
    assert "| ✗ fail | broker_memory | 100 MB | +20.0 MB (+20.0 %) | +15.0 MB and +25.0 MB | < 5%/h |" in page
    assert "| p99 | 10.0 ms |" in page


def test_runs_without_data(no_result: dict[str, Any]) -> None:
    page = render(no_result)
    assert page.startswith("## ! INVALID: empty")
    assert "embedded broker is not RabbitMQ" in page
    assert render({}).startswith("## ! INVALID: run")
    no_result["interrupted"] = True
    assert "cut short" in render(no_result)
