from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from loadgen.report.text import render

if TYPE_CHECKING:
    from collections.abc import Callable

ANSI = re.compile(r"\x1b\[[0-9;]*m")


def test_thresholds_come_first_and_the_verdict_last(good_result: dict[str, Any]) -> None:
    text = render(good_result)
    headings = re.findall(r"^([A-Z][A-Z' ]+)(?: {2,}|$)", text, re.MULTILINE)
    assert [heading.strip() for heading in headings[:5]] == [
        "THRESHOLDS",
        "TOTALS",
        "LEDGER",
        "LATENCY",
        "CODES",
    ]
    assert text.splitlines()[-1] == "VERDICT PASS (exit code 0)"


def test_marks_tell_pass_fail_and_invalid(
    good_result: dict[str, Any], make_threshold: Callable[..., dict[str, Any]]
) -> None:
    good_result["thresholds"] = [
        make_threshold("publish_latency", "p99 < 250ms", "p99", 0.0136),
        make_threshold("messages_lost", "count == 0", "count", 3.0, "fail", reason="3 lost", default=True),
        make_threshold("reconnect_time", "p99 < 5s", "p99", None, "invalid", reason="no samples"),
        make_threshold("published", "rate > 100", "rate", 205.0),
    ]
    lines = [" ".join(line.split()) for line in render(good_result).splitlines()]
    assert "✓ publish_latency p99 < 250ms 13.6 ms" in lines
    assert "✗ messages_lost count == 0 3 (3 lost; default)" in lines
    assert "! reconnect_time p99 < 5s \N{EN DASH} (no samples)" in lines
    assert "✓ published rate > 100 205/s" in lines


def test_an_expression_that_repeats_its_metric_is_shown_once(
    good_result: dict[str, Any], make_threshold: Callable[..., dict[str, Any]]
) -> None:
    good_result["thresholds"] = [make_threshold("send_lag", "send_lag: p99 < 10ms", "p99", 0.001)]
    assert render(good_result).count("send_lag: ") == 0


def test_the_percentile_table_has_the_promised_columns(good_result: dict[str, Any]) -> None:
    heading = next(line for line in render(good_result).splitlines() if line.startswith("LATENCY"))
    assert heading.split() == ["LATENCY", "count", "p50", "p90", "p95", "p99", "p99.9", "max"]


def test_columns_of_the_ledger_line_up(good_result: dict[str, Any]) -> None:
    lines = render(good_result).splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("LEDGER"))
    assert len({len(line) for line in lines[start : start + 4]}) == 1


def test_codes_come_in_words_with_the_mend(good_result: dict[str, Any]) -> None:
    good_result["codes"]["connack"]["0x86"] = 3
    text = render(good_result)
    assert "bad user name or password" in text
    assert "→ the certificate's name is no user of the broker: run `loadgen provision SCENARIO`" in text


def test_an_invalid_run_says_what_to_do(good_result: dict[str, Any]) -> None:
    good_result.update(verdict="invalid", exit_code=98, reasons=["send lag"])
    good_result["generator"]["send_lag"]["p99"] = 0.32
    text = render(good_result)
    assert "WHAT TO DO" in text
    assert "--workers" in text
    assert text.splitlines()[-2:] == ["  - send lag", "VERDICT INVALID (exit code 98)"]


def test_an_interrupted_run_says_so(good_result: dict[str, Any]) -> None:
    good_result.update(interrupted=True, exit_code=105)
    assert "interrupted: the figures cover what ran" in render(good_result).splitlines()[-1]


def test_a_run_without_anything_still_renders(no_result: dict[str, Any]) -> None:
    text = render(no_result)
    assert "LATENCY" not in text
    assert text.endswith("VERDICT INVALID (exit code 98)")
    assert "VERDICT INVALID" in render({})


def test_a_killed_run_shows_no_ledger_of_zeros(good_result: dict[str, Any]) -> None:
    good_result["ledger"] = {}
    assert "LEDGER" not in render(good_result)


def test_colour_adds_nothing_but_colour(good_result: dict[str, Any]) -> None:
    coloured = render(good_result, color=True)
    assert coloured != render(good_result)
    assert ANSI.sub("", coloured) == render(good_result)


def test_names_cannot_move_the_cursor(good_result: dict[str, Any]) -> None:
    for place in ("name", "description"):
        good_result["scenario"][place] = "\x1b[2Jgone\n"
    good_result["broker"]["view"]["mismatches"] = ["\x1b[31mred"]
    good_result["codes"]["connect_errors"] = {"\x07bell": 1}
    good_result["warnings"] = good_result["reasons"] = ["\rover"]
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", render(good_result))


def test_a_long_list_of_mismatches_is_cut_short(good_result: dict[str, Any]) -> None:
    good_result["broker"]["view"]["mismatches"] = [f"dev{n}: ssl is false" for n in range(20)]
    text = render(good_result)
    assert "dev4" in text
    assert "dev5:" not in text
    assert "15 more" in text
