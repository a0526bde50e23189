from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loadgen.report.advice import advice, saturated

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_clean_pass_needs_no_advice(good_result: dict[str, Any]) -> None:
    assert advice(good_result) == []


def test_a_slow_generator_is_told_about_workers(good_result: dict[str, Any]) -> None:
    good_result["generator"]["send_lag"]["p99"] = 0.32
    assert saturated(good_result) == ["send lag p99 is 320 ms, limit 100 ms"]
    assert any("--workers" in line for line in advice(good_result))


def test_the_scenarios_own_limits_count(good_result: dict[str, Any]) -> None:
    good_result["generator"]["send_lag"]["p99"] = 0.32
    good_result["generator"]["limits"] = {"send_lag": 0.5, "loop_lag": 0.1, "max_dropped": 0}
    assert saturated(good_result) == []


def test_what_was_not_measured_is_named(
    good_result: dict[str, Any], make_threshold: Callable[..., dict[str, Any]]
) -> None:
    good_result["thresholds"].append(make_threshold("reconnect_time", "p99 < 5s", "p99", None, "invalid"))
    assert any("Nothing was measured for reconnect_time" in line for line in advice(good_result))


def test_a_lost_worker_a_lost_message_and_a_foreign_identity_each_get_a_line(
    good_result: dict[str, Any],
) -> None:
    good_result["generator"]["workers_lost"] = 1
    good_result["ledger"]["lost"] = 3
    good_result["broker"]["view"]["mismatches"] = ["dev7: user is guest"]
    text = "\n".join(advice(good_result))
    assert "1 of 2 workers died" in text
    assert "acknowledged never arrived" in text
    assert "ssl_cert_login" in text


def test_clients_that_were_refused_get_the_hint_of_their_code(good_result: dict[str, Any]) -> None:
    good_result["totals"]["connected"] = 297
    good_result["codes"]["connect_errors"] = {"connack:refused:0x86": 3}
    assert advice(good_result)[0].startswith("3 of 300 clients were not connected")
    assert "loadgen provision" in advice(good_result)[0]
