from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest

from loadgen.report.html import write_html
from tests.report.test_drift import LEAK

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadgen.metrics.snapshot import Snapshot
    from loadgen.report.source import RunSource

HOSTILE = "<script>alert(1)</script>\"'&$$x$$"
LIMIT = 2_000_000


class Page(HTMLParser):
    """What a browser would see: scripts, loaded addresses and the text outside scripts and styles."""

    VOID = frozenset({"meta", "link", "br", "line", "use"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.scripts = 0
        self.loads: list[str] = []
        self.words: list[str] = []
        self.ids: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        found = dict(attrs)
        self.loads += [value for name in ("src", "href") if (value := found.get(name)) and value[0] != "#"]
        if found.get("id"):
            self.ids.append(str(found["id"]))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in {"script", "style"}:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def read(run: RunSource) -> Page:
    html = write_html(run).read_text(encoding="utf-8")
    assert len(html.encode()) <= LIMIT
    page = Page(html)
    assert page.open == []
    return page


def test_a_good_run_shows_its_verdict_figures_and_charts(make_run: Callable[..., Any]) -> None:
    page = read(make_run())
    assert page.text.index("PASS") < page.text.index("Thresholds")
    for words in (
        "27,600", "13.6 ms", "Messages per second", "Connected clients", "Publish latency",
        "Delivery latency", "Latency by percentile", "The generator's lag", "Broker",
        "300 of 300 clients", "Scenario as run",
    ):  # fmt: skip
        assert words in page.text
    assert len(page.ids) == len(set(page.ids))


def test_the_page_loads_nothing(make_run: Callable[..., Any]) -> None:
    assert [address for address in read(make_run()).loads if not address.startswith("data:")] == []


def test_a_run_without_data_needs_no_bokeh(make_run: Callable[..., Any], no_result: dict[str, Any]) -> None:
    run = make_run(no_result, [])
    page = read(run)
    assert "nothing to draw" in page.text
    assert "No samples" in page.text
    assert (run.path / "report.html").stat().st_size < 40_000


def test_a_run_with_one_message_draws_it(
    make_run: Callable[..., Any], no_result: dict[str, Any], make_second: Callable[..., Snapshot]
) -> None:
    no_result["totals"].update(published=1, acknowledged=1)
    page = read(make_run(no_result, [make_second(0, "steady", published=1, fan_out=1, connected=1)]))
    assert "Latency by percentile" in page.text


def test_no_name_becomes_markup(make_run: Callable[..., Any], good_result: dict[str, Any]) -> None:
    baseline = read(make_run()).scripts
    good_result["scenario"].update(name=HOSTILE, description=HOSTILE, file=HOSTILE)
    good_result["stages"][2]["name"] = HOSTILE
    good_result["groups"] = {HOSTILE: good_result["groups"]["sensors"]}
    good_result["metrics"] = {HOSTILE: good_result["metrics"]["publish_latency"]}
    good_result["thresholds"][0].update(metric=HOSTILE, expression=HOSTILE, reason=HOSTILE, verdict="fail")
    good_result["codes"]["connect_errors"] = {HOSTILE: 2}
    good_result["broker"].update(version=HOSTILE, nodes=[HOSTILE])
    good_result["broker"]["view"].update(mismatches=[HOSTILE], by_node={HOSTILE: 3})
    good_result["environment"] = {HOSTILE: HOSTILE}
    good_result["ledger"]["worst"] = [{"publisher": HOSTILE, "subscriber": HOSTILE, "missing": HOSTILE}]
    good_result.update(reasons=[HOSTILE], warnings=[HOSTILE], verdict=HOSTILE, started_at=HOSTILE)
    page = read(make_run(good_result, scenario=f"name: {HOSTILE}</pre></script>\n"))
    assert page.scripts == baseline
    assert page.text.count("alert(1)") > 15


def test_failures_and_what_to_do_are_told(make_run: Callable[..., Any], good_result: dict[str, Any]) -> None:
    good_result.update(verdict="fail", exit_code=99, reasons=["messages_lost: 3"], interrupted=True)
    good_result["ledger"].update(
        lost=3, worst=[{"publisher": 5, "subscriber": 9, "lost": 3, "missing": [[3, 6]]}]
    )
    good_result["codes"]["connack"]["0x86"] = 3
    good_result["generator"]["workers_lost"] = 1
    page = read(make_run(good_result))
    told = (
        "FAIL",
        "Interrupted.",
        "What to do",
        "publisher 5 → subscriber 9",
        "bad user name",
        "worker was lost",
    )
    for words in told:
        assert words in page.text


def test_a_killed_run_has_no_ledger_of_zeros(
    make_run: Callable[..., Any], good_result: dict[str, Any]
) -> None:
    good_result["ledger"] = {}
    page = read(make_run(good_result))
    assert "not attempted" not in page.text
    assert "Not known" in page.text


def test_a_bare_result_still_gives_a_page(make_run: Callable[..., Any]) -> None:
    assert "INVALID" in read(make_run({}, [])).text


def test_a_run_of_a_day_stays_small(
    make_run: Callable[..., Any], make_second: Callable[..., Snapshot]
) -> None:
    hour = [make_second(n, "steady", published=1, connected=300) for n in range(0, 86_400, 60)]
    read(make_run(None, hour))


def test_a_failed_write_leaves_the_old_report(
    make_run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run({}, [])
    before = write_html(run).read_text(encoding="utf-8")

    def fail(wanted: object = None) -> list[Snapshot]:
        raise RuntimeError("disk")

    monkeypatch.setattr(run, "intervals", fail)
    with pytest.raises(RuntimeError, match="disk"):
        write_html(run)
    assert (run.path / "report.html").read_text(encoding="utf-8") == before


def test_bokeh_is_not_imported_before_a_report_is_written() -> None:
    modules = ", ".join(
        f"loadgen.{name}"
        for name in ("report.text", "report.json", "live.view", "report.schema", "report.html")
    )
    code = f"import sys, {modules}; print([m for m in ('bokeh', 'jinja2', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_slopes_are_told_with_their_limits(make_run: Callable[..., Any], good_result: dict[str, Any]) -> None:
    assert "Drift" not in read(make_run()).text
    good_result["drift"] = [LEAK | {"reason": HOSTILE, "stage": HOSTILE}]
    page = read(make_run(good_result))
    for words in (
        "broker_memory",
        "+123 MB (+12.3 %)",
        "+110 MB and +135 MB",
        "50MB/h",
        "3h 36m",
        "alert(1)",
    ):
        assert words in page.text
