"""Reports in a real browser: headless Chromium, led over its own protocol, many pages in one start."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import re
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_DEADLINE = 60.0
"""Seconds that anything may take, on a machine that does much else."""

# Bokeh paints on canvases inside of shadow roots. A chart is drawn when its canvas holds pixels of the colour
# of one of its lines; axes, grid and shades have none of these. What was drawn is not looked at again.
_DRAWN_JS = """
(() => {
  const canvases = (node) => [...node.querySelectorAll("*")].flatMap((each) => [
    ...(each.tagName === "CANVAS" ? [each] : []), ...(each.shadowRoot ? canvases(each.shadowRoot) : [])])
  const palettes = JSON.parse(document.getElementById("palettes").textContent)
  const chosen = document.documentElement.dataset.theme
  const dark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches
  const palette = palettes[dark ? "dark" : "light"]
  const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16))
  const inked = (figure, colours) => canvases(figure).some((canvas) => {
    if (!canvas.width || !canvas.height) return false
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)
    const near = (at, colour) => colour.every((part, place) => Math.abs(data[at + place] - part) < 9)
    let found = 0
    for (let at = 0; at < data.length && found < 4; at += 4)
      if (data[at + 3] > 200 && colours.some((colour) => near(at, colour))) found += 1
    return found > 3
  })
  const figures = [...document.querySelectorAll("figure")]
  for (const figure of figures) {
    const colours = [...figure.querySelectorAll("button.key")].map((key) => rgb(palette[key.classList[1]]))
    figure.drawn ||= inked(figure, colours)
  }
  return figures.map((figure) => ({
    title: figure.querySelector("h3, h4").textContent,
    drawn: figure.drawn,
    said: (figure.querySelector(".plot").getAttribute("aria-labelledby") || "").split(" ").map(
      (id) => document.getElementById(id)?.textContent || "").join(" ").length,
  }))
})()
"""


@dataclass(slots=True)
class Tab:
    """One page in the browser."""

    _browser: Browser
    _session: str
    console: list[str] = field(default_factory=list)
    """What the page's console said, uncaught exceptions too; Bokeh's greeting is left out."""

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401
        """Send one command of the protocol and wait for its answer."""
        return await self._browser.ask(method, parameters, self._session)

    async def evaluate(self, script: str) -> Any:  # noqa: ANN401
        """Give the value of an expression in the page."""
        answer = await self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, script: str) -> Any:  # noqa: ANN401
        """Wait until an expression is true, and give it."""
        async with asyncio.timeout(_DEADLINE):
            while not (value := await self.evaluate(script)):  # noqa: ASYNC110 - the page does not tell
                await asyncio.sleep(0.02)
        return value

    async def press(self, key: str) -> None:
        """Press and let go of a key such as `Tab` or `Enter`."""
        codes = {"Tab": 9, "Enter": 13, " ": 32}
        text = {"Enter": "\r", " ": " "}.get(key, "")
        for kind in ("keyDown", "keyUp"):
            await self.ask(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key],
                **({"text": text} if text and kind == "keyDown" else {}),
            )  # fmt: skip

    async def see(self, *, width: int = 1280, dark: bool = False) -> None:
        """Change the window's width (CSS pixels) and the system's theme."""
        await self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.ask("Emulation.setEmulatedMedia", features=[scheme])
        # Painting waits for the next two frames.
        await self.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    async def figures(self, patience: float = 30.0) -> list[dict[str, Any]]:
        """Open everything that is folded and wait until each chart is drawn, or patience ends.

        Args:
            patience: how many seconds it may take.

        Gives for each: its `title`, whether it is `drawn`, and how long its description is (`said`).
        """
        await self.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true })")
        found: list[dict[str, Any]] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while True:
                    found = await self.evaluate(_DRAWN_JS)
                    if all(each["drawn"] for each in found):
                        break
                    await asyncio.sleep(0.05)
        return found

    async def image(self) -> bytes:
        """Give the whole page as a PNG."""
        answer = await self.ask("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(answer["data"])

    async def pdf(self) -> bytes:
        """Give the page as it prints."""
        return base64.b64decode((await self.ask("Page.printToPDF", printBackground=False))["data"])


class Browser:
    """A running Chromium."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Take over an open connection; see `browser`."""
        self._socket = socket
        self._number = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._tabs: dict[str, Tab] = {}

    async def ask(self, method: str, parameters: dict[str, Any], session: str = "") -> dict[str, Any]:
        """Send one command of the protocol and wait for its answer."""
        self._number += 1
        answer = self._answers[self._number] = asyncio.get_running_loop().create_future()
        about = {"sessionId": session} if session else {}
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters, **about})
        async with asyncio.timeout(_DEADLINE):
            found: dict[str, Any] = await answer
            return found

    async def listen(self) -> None:
        """Hand out what the browser says, until it ends."""
        async for message in self._socket:
            said = message.json()
            if "id" in said:
                answer = self._answers.pop(said["id"])
                if answer.done():  # nobody waits any more
                    continue
                if "error" in said:
                    answer.set_exception(RuntimeError(str(said["error"])))
                else:
                    answer.set_result(said["result"])
            elif tab := self._tabs.get(said.get("sessionId", "")):
                _note(tab, said["method"], said["params"])

    async def open(self, page: Path | str, *, width: int = 1280, dark: bool = False) -> Tab:
        """Load a report, or the page at a URL, and wait until its charts stand in their places."""
        target = await self.ask("Target.createTarget", {"url": "about:blank"})
        attached = await self.ask("Target.attachToTarget", {**target, "flatten": True})
        tab = self._tabs[attached["sessionId"]] = Tab(self, attached["sessionId"])
        for domain in ("Page", "Runtime", "Log"):
            await tab.ask(f"{domain}.enable")
        await tab.see(width=width, dark=dark)
        await tab.ask("Page.navigate", url=page if isinstance(page, str) else page.as_uri())
        await tab.until("location.protocol !== 'about:' && document.readyState === 'complete'")
        await tab.until("document.documentElement.dataset.charts !== undefined")
        return tab


def _note(tab: Tab, method: str, parameters: dict[str, Any]) -> None:
    if method == "Runtime.consoleAPICalled":
        words = " ".join(str(each.get("value", each.get("description"))) for each in parameters["args"])
        if "setting log level" not in words:
            tab.console.append(f"{parameters['type']}: {words}")
    elif method == "Runtime.exceptionThrown":
        details = parameters["exceptionDetails"]
        what = details.get("exception", {}).get("description") or details["text"]
        tab.console.append(f"exception: {what[:400]}")
    # What Chromium itself remarks; that many pixels are read is our doing.
    elif method == "Log.entryAdded" and "willReadFrequently" not in parameters["entry"]["text"]:
        tab.console.append(f"{parameters['entry']['level']}: {parameters['entry']['text']}")


@contextlib.asynccontextmanager
async def browser(profile: Path) -> AsyncIterator[Browser]:
    """Start a browser and end it.

    Args:
        profile: a folder for its files, made if it is not there.
    """
    assert CHROMIUM is not None
    process = await asyncio.create_subprocess_exec(
        CHROMIUM, "--headless=new", "--disable-gpu", "--remote-debugging-port=0", "--no-first-run",
        f"--user-data-dir={profile}", *(["--no-sandbox"] if os.geteuid() == 0 else []), "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        async with asyncio.timeout(_DEADLINE):
            while not (found := re.search(rb"ws://\S+", await process.stderr.readline())):
                assert process.returncode is None
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(found[0].decode(), max_msg_size=0) as socket,
        ):
            led = Browser(socket)
            listening = asyncio.create_task(led.listen())
            # Else its pipe fills up, and it stands still.
            reading = asyncio.create_task(process.stderr.read())
            try:
                yield led
                await led.ask("Browser.close", {})
            finally:
                listening.cancel()
                reading.cancel()
                await asyncio.gather(listening, reading, return_exceptions=True)
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError, TimeoutError):
                await asyncio.wait_for(process.wait(), 5)
        if process.returncode is None:
            process.kill()
            await process.wait()


@dataclass(frozen=True, slots=True)
class Seen:
    """What a report looked like in the browser."""

    console: list[str]
    """What the console said; nothing, if all is well."""
    charts: list[str]
    """Titles of the charts."""
    blank: list[str]
    """Titles of those in which no line is to be seen."""
    undescribed: list[str]
    """Titles of those without a text alternative."""
    too_wide: bool
    """Whether the page must be scrolled sideways."""


async def see(led: Browser, page: Path, patience: float = 30.0) -> Seen:
    """Look at one report, and wait so many seconds for its charts to be drawn."""
    tab = await led.open(page)
    figures = await tab.figures(patience)
    return Seen(
        tab.console,
        [each["title"] for each in figures],
        [each["title"] for each in figures if not each["drawn"]],
        [each["title"] for each in figures if each["said"] < 40],
        await tab.evaluate("document.documentElement.scrollWidth > innerWidth"),
    )


def look_at(pages: Sequence[Path], profile: Path, spoilt: Path | None = None) -> list[Seen]:
    """Look at reports, one after the other, in one browser.

    Args:
        pages: HTML files.
        profile: a folder for the browser's files.
        spoilt: one more page, of which it is known that not all of its charts are drawn.
    """

    async def look() -> list[Seen]:
        async with browser(profile) as led:
            seen = [await see(led, page) for page in pages]
            return seen + ([await see(led, spoilt, 2.0)] if spoilt else [])

    return asyncio.run(look())
