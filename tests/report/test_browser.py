"""Reports in a real browser: every chart is drawn, the console is silent, the keyboard reaches everything."""

from __future__ import annotations

import asyncio
import copy
from typing import TYPE_CHECKING, Any

import pytest

from loadgen.report.html import write_html
from tests.report.browser import CHROMIUM, Browser, browser, look_at
from tests.report.conftest import FakeRun
from tests.report.rich_runs import (
    killed,
    one_message,
    rich_result,
    rich_timeline,
    samples,
    ten_thousand,
    twenty_faults,
)
from tests.report.test_html import LIMIT

if TYPE_CHECKING:
    from pathlib import Path

    from loadgen.metrics.broker_sample import BrokerSample
    from loadgen.metrics.snapshot import Snapshot

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")

HOSTILE = "<script>alert(1)</script>$$x$$"
EXPECTED = [
    "Messages per second",
    "Connected clients",
    "Publish latency",
    "Delivery latency",
    "Errors per second",
    "Latency by percentile",
    "Phases of a connection",
    "The generator's lag",
    "The generator's CPU",
    "The generator's memory",
    "Messages waiting",
]
"""Charts of a run in which everything happened, beside those of its fault."""


def write(
    folder: Path,
    result: dict[str, Any],
    timeline: list[Snapshot],
    plan: dict[str, Any] | None = None,
    said: list[BrokerSample] | None = None,
) -> Path:
    """Write the report of a run made by hand."""
    folder.mkdir()
    (folder / "scenario.yaml").write_text("name: x\n", encoding="utf-8")
    return write_html(FakeRun(folder, copy.deepcopy(result), timeline, plan or {}, said or []))


def spoilt(page: Path) -> Path:
    """Write a page beside this one in which one line is not drawn, and which complains."""
    hide = (
        "<script>console.error('oh'); new MutationObserver(() => { for (const doc of Bokeh.documents) "
        "doc.get_model_by_name('memory/memory').visible = false })"
        ".observe(document.documentElement, { attributes: true })</script></body>"
    )
    made = page.with_name("spoilt.html")
    made.write_text(page.read_text(encoding="utf-8").replace("</body>", hide), encoding="utf-8")
    return made


def test_every_kind_of_run_is_drawn_without_a_word_in_the_console(
    tmp_path: Path, no_result: dict[str, Any]
) -> None:
    """One start of the browser for all, for that is what takes the time."""
    rich = rich_result()
    rich["scenario"]["name"] = rich["stages"][2]["name"] = rich["faults"][0]["name"] = HOSTILE
    pages = {
        "rich": write(tmp_path / "rich", rich, rich_timeline(), {"publish_rate": 200.0}),
        "nothing": write(tmp_path / "nothing", no_result, []),
        "one message": write(tmp_path / "one", *one_message()),
        "10,000 clients": write(tmp_path / "many", *ten_thousand()),
        "an hour": write(tmp_path / "hour", *twenty_faults(3600), {"publish_rate": 20.0}, samples(3600)),
        "killed": write(tmp_path / "killed", *killed()),
    }
    # The last one shows that what is wrong would be found.
    *looks, last = look_at(list(pages.values()), tmp_path / "profile", spoilt(pages["killed"]))
    assert last.console == ["error: oh"]
    assert "The generator's memory" in last.blank
    seen = dict(zip(pages, looks, strict=True))
    for name, each in seen.items():
        assert each.console == [], name
        assert each.blank == [], name
        assert each.undescribed == [], name
        assert not each.too_wide, name
    assert [title for title in seen["rich"].charts if HOSTILE not in title] == EXPECTED
    assert len(seen["rich"].charts) == len(EXPECTED) + 2
    assert seen["nothing"].charts == []
    assert len([title for title in seen["an hour"].charts if "The fleet around" in title]) == 20
    assert "The brokers' CPU" in seen["an hour"].charts
    assert pages["an hour"].stat().st_size <= LIMIT


def test_a_report_is_read_by_keyboard_in_the_dark_and_on_a_telephone(tmp_path: Path) -> None:
    page = write(tmp_path / "rich", rich_result(), rich_timeline(), {"publish_rate": 200.0})

    async def read(led: Browser) -> None:
        tab = await led.open(page, width=380, dark=True)
        assert await tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert all(each["drawn"] for each in await tab.figures())
        await tab.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = false })")
        await tab.evaluate("window.scrollTo(0, 0)")
        await tab.press("Tab")
        assert await tab.evaluate("document.activeElement.className") == "skip"
        await tab.press("Enter")
        assert await tab.evaluate("document.activeElement.id") == "verdict"
        # From there on all that can be used is reached in the order in which it stands on the page.
        places = []
        for _ in range(60):
            await tab.press("Tab")
            places.append(
                await tab.evaluate(
                    "[...document.querySelectorAll('*')].indexOf(document.activeElement) + ' ' "
                    "+ document.activeElement.className + ' ' + document.activeElement.tagName"
                )
            )
            if "BODY" in places[-1]:
                break
        numbers = [int(place.split()[0]) for place in places if "BODY" not in place]
        assert numbers == sorted(numbers)
        assert {"key", "SUMMARY", "wide"} <= {word for place in places for word in place.split()}
        # A table of what a chart shows, by keyboard.
        await tab.evaluate("document.querySelector('#chart-rates details.figures summary').focus()")
        await tab.press("Enter")
        rows = await tab.until("document.querySelectorAll('#chart-rates tbody tr').length")
        assert rows == len(rich_timeline())
        head = "[...document.querySelectorAll('#chart-rates th[scope=col]')].map((each) => each.textContent)"
        assert await tab.evaluate(head) == ["seconds", "intended", "sent", "acknowledged", "delivered"]
        # Hiding a line takes its colour from the canvas.
        await tab.evaluate("document.querySelector('#chart-cpu button.key').focus()")
        await tab.press("Enter")
        hidden = "Bokeh.documents[0].get_model_by_name('cpu/cpu').visible"
        assert await tab.evaluate(hidden) is False
        assert await tab.evaluate("document.activeElement.getAttribute('aria-pressed')") == "false"
        assert tab.console == []

    async def main() -> None:
        async with browser(tmp_path / "profile") as led:
            await read(led)

    asyncio.run(main())
