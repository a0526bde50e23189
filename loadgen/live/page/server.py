"""The live page over HTTP: everything comes from here, and nothing can be changed by it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from loadgen.live.page.follower import Follower

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_HEADERS = {
    # BokehJS makes functions of the charts' own formatters, hence unsafe-eval; it styles in place.
    "Content-Security-Policy": "default-src 'none'; script-src 'self' 'unsafe-eval'; style-src 'self' "
    "'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_REDRAW_AFTER = 60.0
"""Charts are drawn anew after so many seconds in any case: what is scaled only once then fits again."""
_WATCHED = 10.0
"""Seconds after its last question that a browser still counts as watching."""


class LivePage:
    """Answers what browsers ask about one run."""

    def __init__(self, follower: Follower, hosts: Collection[str] | None) -> None:
        """Serve what `follower` knows.

        Args:
            follower: the run.
            hosts: names by which a browser may call us; None for any. Another name means that a web site has
                pointed its own name at this machine.
        """
        self._follower = follower
        self._hosts = hosts
        self._drawn: tuple[str, float, str, str] | None = None
        self._drawing = asyncio.Lock()
        self._asked = 0.0
        self._end_told = False

    def app(self) -> web.Application:
        """Give the application."""
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/", self._page)
        app.router.add_get("/style.css", self._style)
        app.router.add_get("/live.js", self._script)
        app.router.add_get("/bokeh.js", self._bokeh)
        app.router.add_get("/charts.js", self._charts_script)
        app.router.add_get("/charts", self._charts)
        app.router.add_get("/state", self._state)
        return app

    @property
    def waited_for(self) -> bool:
        """Whether a browser watches that has not heard of the run's end."""
        return time.monotonic() - self._asked < _WATCHED and not self._end_told

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        host = request.host.rpartition(":")[0] or request.host
        if self._hosts is not None and host.strip("[]") not in self._hosts:
            raise web.HTTPForbidden(text="ask for this page by the address that loadgen told\n")
        answer = await handler(request)
        answer.headers.update(_HEADERS)
        return answer

    async def _page(self, _: web.Request) -> web.Response:
        from loadgen.live.page import drawing  # noqa: PLC0415 - half a second of imports, if anybody looks at all

        scenario = self._follower.scenario
        text = drawing.page(scenario=scenario.name, description=scenario.description)
        return web.Response(text=text, content_type="text/html")

    async def _style(self, _: web.Request) -> web.Response:
        from loadgen.live.page import drawing  # noqa: PLC0415 - as above

        return web.Response(text=drawing.style(), content_type="text/css")

    async def _script(self, _: web.Request) -> web.Response:
        from loadgen.live.page import drawing  # noqa: PLC0415 - as above

        return web.Response(text=drawing.script(), content_type="text/javascript")

    async def _bokeh(self, _: web.Request) -> web.Response:
        from loadgen.live.page import drawing  # noqa: PLC0415 - as above

        return web.Response(text=drawing.bokeh_script(), content_type="text/javascript")

    async def _charts(self, _: web.Request) -> web.Response:
        """The charts' places, and the shape they were drawn in."""
        from loadgen.live.page import drawing  # noqa: PLC0415 - as above

        async with self._drawing:
            shape = self._follower.shape
            drawn = self._drawn
            if drawn is None or drawn[0] != shape or time.monotonic() - drawn[1] > _REDRAW_AFTER:
                places, script = drawing.draw(*self._follower.series())
                self._drawn = drawn = shape, time.monotonic(), places, script
        return web.json_response({"version": self._version(), "html": drawn[2]})

    async def _charts_script(self, _: web.Request) -> web.Response:
        return web.Response(text=self._drawn[3] if self._drawn else "", content_type="text/javascript")

    def _version(self) -> str:
        return f"{self._drawn[1]:.3f}" if self._drawn else ""

    def _stale(self) -> bool:
        drawn = self._drawn
        return (
            drawn is None
            or drawn[0] != self._follower.shape
            or (time.monotonic() - drawn[1] > _REDRAW_AFTER and not self._follower.final)
        )

    async def _state(self, request: web.Request) -> web.Response:
        """How the run stands, the points from number `rows` on, and which version the charts are of."""
        try:
            since = max(int(request.query.get("rows", "0")), 0)
        except ValueError:
            raise web.HTTPBadRequest(text="rows is a number\n") from None
        self._asked = time.monotonic()
        answer: dict[str, Any] = self._follower.state()
        answer["rows"] = self._follower.rows(since)
        answer["curves"] = self._follower.curves() if request.query.get("curves") else None
        answer["charts"] = None if self._stale() else self._version()
        self._end_told = self._end_told or (answer["ended"] and bool(request.query.get("seen")))
        return web.json_response(answer)
