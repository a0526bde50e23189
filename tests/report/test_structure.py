"""What a screen reader and a keyboard find on the page."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from loadgen.report.html import write_html
from tests.report.conftest import FakeRun
from tests.report.rich_runs import rich_result, rich_timeline


class Outline(HTMLParser):
    """Headings, tables, identifiers and references of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.headings: list[int] = []
        self.language = ""
        self.ids: list[str] = []
        self.named_by: list[str] = []
        self.jumps: list[str] = []
        self.tables: list[dict[str, int]] = []
        self.unscoped = 0
        self.images = 0
        self.plots = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "html":
            self.language = found.get("lang") or ""
        if tag[0] == "h" and tag[1:].isdigit():
            self.headings.append(int(tag[1:]))
        if tag == "table":
            self.tables.append({"caption": 0, "thead": 0})
        if tag in {"caption", "thead"}:
            self.tables[-1][tag] += 1
        self.unscoped += tag == "th" and "scope" not in found
        if found.get("id"):
            self.ids.append(str(found["id"]))
        for name in ("aria-labelledby", "aria-describedby"):
            self.named_by += (found.get(name) or "").split()
        href = found.get("href") or ""
        if href.startswith("#"):
            self.jumps.append(href[1:])
        if found.get("class") == "plot":
            self.plots += 1
            self.images += found.get("role") == "img" and "aria-labelledby" in found


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Outline:
    folder = tmp_path_factory.mktemp("rich")
    (folder / "scenario.yaml").write_text("name: x\n", encoding="utf-8")
    page = write_html(FakeRun(folder, rich_result(), rich_timeline(), {"publish_rate": 200.0}))
    return Outline(page.read_text(encoding="utf-8"))


def test_headings_go_down_one_level_at_a_time(rich: Outline) -> None:
    assert rich.language == "en"
    assert rich.headings[0] == 1
    assert rich.headings.count(1) == 1
    steps = zip(rich.headings, rich.headings[1:], strict=False)
    assert [pair for pair in steps if pair[1] > pair[0] + 1] == []


def test_every_table_has_a_caption_and_scopes(rich: Outline) -> None:
    assert rich.tables
    assert all(table == {"caption": 1, "thead": 1} for table in rich.tables)
    assert rich.unscoped == 0


def test_what_is_referred_to_is_there(rich: Outline) -> None:
    assert len(rich.ids) == len(set(rich.ids))
    assert set(rich.named_by) | set(rich.jumps) <= set(rich.ids)
    assert {"verdict", "faults", "charts", "ledger"} <= set(rich.jumps)


def test_every_chart_is_an_image_with_words(rich: Outline) -> None:
    assert rich.images == rich.plots == 13
