"""The live page over HTTP, its process, and the browser that shows it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import socket
from typing import TYPE_CHECKING

import pytest
from aiohttp.test_utils import TestClient, TestServer

from loadgen.errors import ConfigError
from loadgen.live.lines import event, json_line
from loadgen.live.page.follower import Follower
from loadgen.live.page.server import LivePage
from loadgen.live.web import WebPage
from tests.live.folders import GrowingRun
from tests.live.states import STATE
from tests.report.browser import CHROMIUM, browser
from tests.report.conftest import full_result

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
def run(tmp_path: Path) -> GrowingRun:
    return GrowingRun(tmp_path / "run")


@contextlib.asynccontextmanager
async def client(follower: Follower) -> AsyncIterator[TestClient]:  # type: ignore[type-arg]
    page = LivePage(follower, ["127.0.0.1"])
    async with TestClient(TestServer(page.app())) as asking:
        yield asking


def test_the_page_is_self_contained_and_says_so(run: GrowingRun) -> None:
    async def main() -> None:
        async with client(Follower(run.folder)) as asking:
            for path in ("/", "/style.css", "/live.js", "/bokeh.js", "/state", "/charts"):
                answer = await asking.get(path)
                assert answer.status == 200, path
                policy = answer.headers["Content-Security-Policy"]
                assert policy.startswith("default-src 'none'; script-src 'self' 'unsafe-eval';")
                assert "connect-src 'self'" in policy
            text = await (await asking.get("/")).text()
            assert "A &lt;b&gt;run&lt;/b&gt; that goes on." in text
            assert re.findall(r'(?:src|href)="([^"]*)"', text) == [
                "data:,", "/style.css", "#standing", "#charts", "#notes", "/bokeh.js", "/live.js",
            ]  # fmt: skip
            assert "://" not in text
            assert (await asking.get("/", headers={"Host": "evil.example"})).status == 403
            assert (await asking.get("/state", params={"rows": "many"})).status == 400
            assert (await asking.post("/state")).status == 405
            assert (await asking.get("/etc/passwd")).status == 404

    asyncio.run(main())


def test_charts_are_drawn_anew_only_when_something_new_is_to_be_drawn(run: GrowingRun) -> None:
    async def main() -> None:
        follower = Follower(run.folder)
        async with client(follower) as asking:

            async def state() -> dict[str, object]:
                found: dict[str, object] = await (await asking.get("/state")).json()
                return found

            assert (await (await asking.get("/charts")).json())["html"] == ""
            run.live(20)
            follower.look()
            assert (await state())["charts"] is None
            drawn = await (await asking.get("/charts")).json()
            assert "Messages per second" in drawn["html"]
            assert "embed_items" in await (await asking.get("/charts.js")).text()
            run.live(5)
            follower.look()
            assert (await state())["charts"] == drawn["version"]
            assert (await (await asking.get("/charts")).json())["version"] == drawn["version"]
            run.fault("injecting", 24.0)
            follower.look()
            assert (await state())["charts"] is None

    asyncio.run(main())


def test_a_taken_port_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"--web: cannot listen on 127\.0\.0\.1 port {port}"):
            WebPage("127.0.0.1", port, lambda _: None)


def test_a_page_that_stands_still_never_holds_up_the_run(tmp_path: Path) -> None:
    warnings: list[str] = []
    with WebPage("127.0.0.1", 0, warnings.append) as page:
        assert page.local
        page.tell("before it serves, it is told nothing")
        page.start(tmp_path)  # no run: the process ends at once
        assert page._process is not None
        page._process.wait()
        page.tell("is anybody there?")
        page.tell("no")
        (warning,) = warnings
        assert "the live page's process has ended: " in warning
        assert "scenario.yaml" in warning
        page._over = False
        reading, page._pipe = os.pipe()
        os.set_blocking(page._pipe, False)
        for number in range(1000):
            page.tell(event("note", text=f"{number} {'x' * 9000}"))
        heard = b""
        os.set_blocking(reading, False)
        with contextlib.suppress(BlockingIOError):
            while part := os.read(reading, 1 << 16):
                heard += part
        page.tell("again")
        heard += os.read(reading, 1 << 16)
        lines = heard.decode().split("\n")
        assert 2 < len(lines) < 100
        assert [json.loads(line)["event"] for line in lines[:-1]] == ["note"] * (len(lines) - 1)
        os.close(reading)
        os.close(page._pipe)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")
def test_the_page_in_a_browser_grows_and_sees_the_end(run: GrowingRun, tmp_path: Path) -> None:
    run.live(20)

    async def main() -> None:
        with WebPage("127.0.0.1", 0, lambda _: None) as page:
            page.start(run.folder)
            page.tell(json_line(STATE))
            async with browser(tmp_path / "profile") as led:
                tab = await led.open(page.url, dark=True)
                figures = await tab.figures()
                assert {"Messages per second", "Publish latency"} <= {each["title"] for each in figures}
                assert all(each["drawn"] for each in figures), figures
                before = int(await tab.evaluate("document.documentElement.dataset.points"))
                run.live(3)
                await tab.until(f"Number(document.documentElement.dataset.points) === {before + 3}")
                source = "Bokeh.documents[0].get_model_by_name('rates/published').data_source.data"
                assert await tab.evaluate(f"{source}.time.length") == before + 3
                assert await tab.evaluate("document.getElementById('verdict').textContent") == "failing"
                assert "299" in await tab.evaluate("document.getElementById('tiles').innerText")
                run.end(full_result())
                assert page._process is not None
                assert page._process.stdin is not None
                page.tell(event("end", verdict="pass", exit_code=0, path="runs/x"))
                page._process.stdin.close()
                await tab.until("document.documentElement.dataset.ended")
                assert await tab.evaluate("document.getElementById('verdict').textContent") == "PASS"
                assert tab.console == []
                await asyncio.to_thread(page._process.wait, 10)
                assert page._process.returncode == 0

    asyncio.run(main())
