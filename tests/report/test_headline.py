from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loadgen.report.headline import headline, health
from loadgen.report.ledger import worst_pairs
from loadgen.report.page import stage_rows
from loadgen.report.series import read_series
from tests.report.conftest import full_timeline
from tests.report.test_html import read

if TYPE_CHECKING:
    from collections.abc import Callable


def test_six_figures_and_what_is_bad_among_them(good_result: dict[str, Any]) -> None:
    assert [tone for *_, tone in headline(good_result)] == [""] * 6
    good_result["ledger"]["lost"] = 3
    good_result["totals"]["connected"] = 299
    assert [name for name, *_, tone in headline(good_result) if tone] == ["clients connected", "lost"]


def test_the_generators_health_stands_beside_an_invalid_verdict_only(
    good_result: dict[str, Any], make_run: Callable[..., Any]
) -> None:
    assert health(good_result) == []
    good_result["generator"]["loop_lag"]["p99"] = 0.4
    good_result["verdict"] = "invalid"
    rows = {name: (value, limit, bad) for name, value, limit, bad in health(good_result)}
    assert rows["loop lag p99"] == ("400 ms", "limit 100 ms", True)
    assert rows["send lag p99"][2] is False
    assert rows["CPU"][0] == "12.3 % of a core"
    text = read(make_run(good_result)).text
    assert text.index("What to do") < text.index("limit 100 ms") < text.index("Thresholds", 500)


def test_a_stage_shows_what_was_delivered_in_it(good_result: dict[str, Any]) -> None:
    rows = stage_rows(good_result, read_series(full_timeline(), good_result["stages"]))
    steady = next(row for row in rows if row["name"] == "steady")
    assert steady["published"] == "211/s"
    assert steady["delivered"] == "632/s"


def test_pairs_that_lack_only_what_nobody_promised_are_not_named() -> None:
    worst = [
        {"publisher": 1, "subscriber": 2, "lost": 0, "missing": []},
        {"publisher": 3, "subscriber": 4, "lost": 2, "missing": [[5, 7]]},
    ]
    assert worst_pairs({"worst": worst}) == ["publisher 3 → subscriber 4: 2 missing: 5-6"]
