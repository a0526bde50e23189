"""A client of RabbitMQ's management HTTP API: what loadgen asks of it and nothing more.

Every call tries the nodes in turn and stays with the one that answered, so it works while a node is down.
Facts about the API were measured on RabbitMQ 4.3.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from loadgen.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from types import TracebackType

    import aiohttp

CONNECTION_COLUMNS = (
    "name",
    "user",
    "node",
    "protocol",
    "ssl",
    "ssl_protocol",
    "ssl_cipher",
    "peer_cert_subject",
    "client_properties",
    "timeout",
    "connected_at",
)
"""What `connections` asks for: who is connected, and nothing that changes while it is."""

CONNECT_TIMEOUT_S = 5.0
_LONG = 1_000_000
"""Bytes of an answer that is read beside whatever else goes on."""
REQUEST_TIMEOUT_S = 60.0
"""An import of users or a list of tens of thousands of connections takes seconds on a busy node."""


class ManagementError(BrokerError):
    """The management API refused, or no node of it could be reached."""

    def __init__(self, what: str, mend: str = "", *, status: int | None = None) -> None:
        """Keep the HTTP status, None when no answer came."""
        super().__init__(what, mend)
        self.status = status


class Management:
    """The management API of one cluster; an async context manager that owns its HTTP session."""

    def __init__(self, uris: Sequence[str], username: str, password: str, ca: Path | None = None) -> None:
        """Keep the addresses and the login; no connection is made yet.

        Args:
            uris: base addresses such as `http://127.0.0.1:15672`, one for each node; tried in turn.
            username: a user with the tag `monitoring`, or `administrator` to change users.
            password: its password; it appears in no message.
            ca: PEM file of the CA for https addresses; the system's CAs when None.

        Raises:
            ManagementError: the CA file cannot be read.
        """
        self._uris = [uri.rstrip("/") for uri in uris]
        self._username = username
        self._auth = f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"
        self._tls: ssl.SSLContext | bool = True
        if ca is not None:
            try:
                self._tls = ssl.create_default_context(cafile=str(ca))
            except (OSError, ssl.SSLError) as error:
                raise ManagementError(
                    f"management.ca: cannot load {ca}: {error}", "name a PEM file with the CA's certificate"
                ) from error
        self._session: aiohttp.ClientSession | None = None
        self._failures: tuple[type[Exception], ...] = (TimeoutError, ValueError)
        """What a request to a node may raise."""

    async def __aenter__(self) -> Self:
        """Open the HTTP session."""
        # A quarter of a second of imports, which a run without a management API must not pay.
        import aiohttp  # noqa: PLC0415

        self._failures = (TimeoutError, aiohttp.ClientError, ValueError)
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S)
        self._session = aiohttp.ClientSession(headers={"Authorization": self._auth}, timeout=timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the HTTP session."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def ask_another(self) -> None:
        """Begin the next call with another node: this one took too long."""
        self._uris.append(self._uris.pop(0))

    async def overview(self, columns: Sequence[str] = ()) -> dict[str, Any]:
        """Read `/api/overview`: `rabbitmq_version`, `cluster_name`, `object_totals.connections` and more."""
        result: dict[str, Any] = await self._request("GET", "/api/overview", query=_only(columns))
        return result

    async def nodes(self, columns: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Read the nodes: `name`, `running`, `mem_used` (bytes), `fd_used`, `sockets_used` and more."""
        result: list[dict[str, Any]] = await self._request("GET", "/api/nodes", query=_only(columns))
        return result

    async def connections(self, columns: Sequence[str] = CONNECTION_COLUMNS) -> list[dict[str, Any]]:
        """List the connections of all nodes, in one answer and without traffic statistics.

        One answer, not pages: the server gathers all nodes' lists for every page anyway, and clients that
        come or go between two pages would be seen twice or never.

        Args:
            columns: keys of each entry to ask for.
        """
        query = {"columns": ",".join(columns)}
        result: list[dict[str, Any]] = await self._request(
            "GET", "/api/connections", query={"disable_stats": "true", **query}
        )
        if (
            result
            and "client_properties" in columns
            and not any("client_properties" in row for row in result)
        ):
            # Up to 4.0 a list without statistics is one without client ids too; then the costly list it is.
            result = await self._request("GET", "/api/connections", query=query)
        return result

    async def queues(self) -> list[dict[str, Any]]:
        """List the queues with `name`, `type`, `node`, and `leader` where several nodes keep a queue."""
        result: list[dict[str, Any]] = await self._request(
            "GET", "/api/queues", query={"disable_stats": "true", "columns": "name,type,node,leader"}
        )
        return result

    async def users(self) -> dict[str, frozenset[str]]:
        """List the users: name → tags."""
        rows = await self._request("GET", "/api/users", query={"columns": "name,tags"})
        return {row["name"]: _tags(row["tags"]) for row in rows}

    async def permissions(self, vhost: str = "/") -> dict[str, tuple[str, str, str]]:
        """List the permissions in a virtual host: user → (configure, write, read), each a regular expression.

        Raises:
            ManagementError: among others, there is no such virtual host (status 404).
        """
        rows = await self._request("GET", f"/api/vhosts/{quote(vhost, safe='')}/permissions")
        return {row["user"]: (row["configure"], row["write"], row["read"]) for row in rows}

    async def topic_permissions(self, exchange: str = "amq.topic") -> dict[tuple[str, str], tuple[str, str]]:
        """List the permissions on an exchange's topics: (user, virtual host) → (write, read)."""
        rows = await self._request("GET", "/api/topic-permissions")
        return {
            (row["user"], row["vhost"]): (row["write"], row["read"])
            for row in rows
            if row["exchange"] == exchange
        }

    async def delete_permissions(self, user: str, vhost: str) -> None:
        """Delete a user's permissions in a virtual host, without which it cannot connect there."""
        await self._request("DELETE", f"/api/permissions/{quote(vhost, safe='')}/{quote(user, safe='')}")

    async def global_parameters(self) -> dict[str, Any]:
        """List the global runtime parameters, such as `mqtt_default_vhosts`: name → value."""
        rows = await self._request("GET", "/api/global-parameters")
        return {row["name"]: row["value"] for row in rows}

    async def delete_topic_permissions(self, user: str, vhost: str) -> None:
        """Delete a user's permissions on topics of all exchanges in a virtual host."""
        await self._request(
            "DELETE", f"/api/topic-permissions/{quote(vhost, safe='')}/{quote(user, safe='')}"
        )

    async def import_definitions(self, definitions: dict[str, Any]) -> None:
        """Create or replace users, permissions and so on, as `POST /api/definitions` takes them."""
        await self._request("POST", "/api/definitions", body=definitions)

    async def delete_users(self, names: Iterable[str]) -> None:
        """Delete users in one request, which closes their connections; unknown names are skipped."""
        if users := list(names):
            await self._request("POST", "/api/users/bulk-delete", body={"users": users})

    async def close_connection(self, name: str, reason: str) -> bool:
        """Close a connection by its `name` in `connections`; False when it is gone already."""
        try:
            await self._request(
                "DELETE", f"/api/connections/{quote(name, safe='')}", headers={"X-Reason": reason}
            )
        except ManagementError as error:
            if error.status == 404:
                return False
            raise
        return True

    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: object = None,
        headers: dict[str, str] | None = None,
    ) -> Any:  # noqa: ANN401 (JSON)
        """Ask the nodes in turn until one answers; every call of ours may be repeated without harm."""
        assert self._session is not None, "use Management as an async context manager"
        failures = []
        for _ in range(len(self._uris)):
            uri = self._uris[0]
            try:
                async with self._session.request(
                    method, uri + path, params=query, json=body, headers=headers, ssl=self._tls
                ) as response:
                    if response.status < 400:
                        return await _parsed(await response.read()) if response.status == 200 else None
                    refusal = self._refusal(uri + path, response.status, await response.text())
                    if response.status < 500:
                        raise refusal
                    failures.append(refusal.what)
            except self._failures as error:
                failures.append(f"{uri}: {_reason(error)}")
            self.ask_another()  # this node does not answer: the next one is asked first
        raise ManagementError(
            "the management API does not answer: " + "; ".join(failures),
            "check target.management.uris, and that the plugin rabbitmq_management is enabled",
        )

    def _refusal(self, where: str, status: int, text: str) -> ManagementError:
        mend = ""
        if status == 401:
            mend = (
                f"check target.management: the user {self._username!r} must exist, its password must be "
                "right, and it needs the tag monitoring (administrator for `loadgen provision`)"
            )
        elif status == 404:
            mend = "check the virtual host and that this is a RabbitMQ 4 management address"
        return ManagementError(f"{where}: HTTP {status} {text[:300].strip()}", mend, status=status)


def _only(columns: Sequence[str]) -> dict[str, str] | None:
    """Ask for these keys of the answer; for all when there are none."""
    return {"columns": ",".join(columns)} if columns else None


async def _parsed(body: bytes) -> Any:  # noqa: ANN401 (JSON)
    """Read an answer; a long one in a thread, as the list of 50,000 connections takes a second."""
    return json.loads(body) if len(body) < _LONG else await asyncio.to_thread(json.loads, body)


def _tags(value: str | list[str]) -> frozenset[str]:
    """Tags are a list; RabbitMQ before 3.9 and some definitions have them as one text with commas."""
    parts = value.split(",") if isinstance(value, str) else value
    return frozenset(part for part in parts if part)


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if (untrusted := getattr(error, "certificate_error", None)) is not None:
        return f"its certificate is not trusted ({untrusted})"
    return str(error) or type(error).__name__
