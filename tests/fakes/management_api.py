"""RabbitMQ's management API as far as loadgen uses it, on loopback, with everything in memory."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FakeManagementApi:
    """`users`, `permissions`, `topics` (user → regexes) and `connections` may be changed at any time.

    `requests` has (method, path) of every call; `bodies` the definitions that were imported.
    """

    def __init__(self, *, password: str = "right", status: int | None = None) -> None:
        self.users: dict[str, list[str]] = {"admin": ["administrator"]}
        self.permissions: dict[str, dict[str, str]] = {}
        self.topics: dict[str, dict[str, str]] = {}
        self.parameters: dict[str, Any] = {}
        self.connections: list[dict[str, Any]] = []
        self.ask_connections: Callable[[], Awaitable[list[dict[str, Any]]]] | None = None
        """Where `connections` come from instead, for example an embedded broker's."""
        self.nodes: list[dict[str, Any]] = []
        self.overview: dict[str, Any] = {"rabbitmq_version": "4.3.6"}
        self.hanging: asyncio.Event | None = None
        """While it is there, no answer is given until it is set."""
        self.stuck_paths: dict[str, int] = {}
        """Path → how many of its answers are given before one that does not come for a minute."""
        self.requests: list[tuple[str, str]] = []
        self.bodies: list[dict[str, Any]] = []
        self.queries: list[dict[str, str]] = []
        self.status = status
        """An HTTP status to answer everything with."""
        self._login = "Basic " + base64.b64encode(f"admin:{password}".encode()).decode()
        self.uri = ""

    async def __aenter__(self) -> Self:
        app = web.Application(middlewares=[self._check])
        app.add_routes(
            [
                web.get("/api/overview", self._overview),
                web.get("/api/nodes", self._nodes),
                web.get("/api/users", self._users),
                web.get("/api/global-parameters", self._parameters),
                web.delete("/api/permissions/{vhost}/{user}", self._forbid),
                web.get("/api/vhosts/{vhost}/permissions", self._permissions),
                web.get("/api/topic-permissions", self._topic_permissions),
                web.delete("/api/topic-permissions/{vhost}/{user}", self._lift),
                web.post("/api/definitions", self._import),
                web.post("/api/users/bulk-delete", self._delete),
                web.get("/api/connections", self._connections),
                web.delete("/api/connections/{name}", self._close),
            ]
        )
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.uri = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    @web.middleware
    async def _check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.requests.append((request.method, request.raw_path.partition("?")[0]))
        self.queries.append(dict(request.query))
        if self.hanging is not None:
            await self.hanging.wait()
        if (left := self.stuck_paths.get(request.path)) is not None:
            self.stuck_paths[request.path] = left - 1
            if left == 0:
                await asyncio.sleep(60)
        if self.status is not None:
            return web.Response(status=self.status, text="out of order")
        if request.headers.get("Authorization") != self._login:
            return web.json_response({"error": "not_authorized"}, status=401)
        return await handler(request)

    async def _overview(self, request: web.Request) -> web.Response:
        return web.json_response(_columns(request, self.overview))

    async def _nodes(self, request: web.Request) -> web.Response:
        return web.json_response([_columns(request, node) for node in self.nodes])

    async def _parameters(self, _: web.Request) -> web.Response:
        return web.json_response([{"name": name, "value": value} for name, value in self.parameters.items()])

    async def _forbid(self, request: web.Request) -> web.Response:
        del self.permissions[request.match_info["user"]]
        return web.Response(status=204)

    async def _users(self, _: web.Request) -> web.Response:
        return web.json_response([{"name": name, "tags": tags} for name, tags in self.users.items()])

    async def _permissions(self, request: web.Request) -> web.Response:
        if request.match_info["vhost"] != "/":
            return web.json_response({"error": "Object Not Found"}, status=404)
        return web.json_response([{"user": user, "vhost": "/"} | p for user, p in self.permissions.items()])

    async def _import(self, request: web.Request) -> web.Response:
        body = json.loads(await request.text())
        self.bodies.append(body)
        for user in body.get("users", []):
            self.users[user["name"]] = user["tags"]
        for entry in body.get("permissions", []):
            self.permissions[entry["user"]] = {key: entry[key] for key in ("configure", "write", "read")}
        for entry in body.get("topic_permissions", []):
            self.topics[entry["user"]] = {key: entry[key] for key in ("write", "read")}
        return web.Response(status=204)

    async def _topic_permissions(self, _: web.Request) -> web.Response:
        place = {"vhost": "/", "exchange": "amq.topic"}
        return web.json_response([{"user": user} | place | each for user, each in self.topics.items()])

    async def _lift(self, request: web.Request) -> web.Response:
        del self.topics[request.match_info["user"]]
        return web.Response(status=204)

    async def _delete(self, request: web.Request) -> web.Response:
        for name in json.loads(await request.text())["users"]:
            self.users.pop(name, None)
            self.permissions.pop(name, None)
            self.topics.pop(name, None)
        return web.Response(status=204)

    async def _connections(self, _: web.Request) -> web.Response:
        return web.json_response(await self.ask_connections() if self.ask_connections else self.connections)

    async def _close(self, request: web.Request) -> web.Response:
        left = [one for one in self.connections if one["name"] != request.match_info["name"]]
        found = len(left) < len(self.connections)
        self.connections = left
        return web.Response(status=204 if found else 404)


def _columns(request: web.Request, row: dict[str, Any]) -> dict[str, Any]:
    """As the API does with `?columns=`."""
    wanted = request.query.get("columns")
    return row if wanted is None else {key: row[key] for key in wanted.split(",") if key in row}
