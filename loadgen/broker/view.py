"""The broker's own view of the run: is every client listed once, encrypted, and as who it should be?"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MISMATCHES_SHOWN = 20
_POLL_S = 0.5
_POLL_MAX_S = 4.0


class ConnectionSource(Protocol):
    """Where a list of connections comes from: `Management`, or an `EmbeddedBroker`."""

    async def connections(self) -> list[dict[str, Any]]:
        """List the connections as RabbitMQ's `GET /api/connections` does."""


@dataclass(frozen=True, slots=True)
class ExpectedCertificate:
    """Which of several certificates with the same names a client shows."""

    serial: int
    not_before: float
    """Seconds since the epoch, as `not_after`."""
    not_after: float

    def difference(self, connection: dict[str, Any]) -> str | None:
        """Say what the broker lists otherwise, None when nothing.

        RabbitMQ 4.3 shows the serial number, 4.0 the dates alone, and the embedded broker neither.
        """
        serial = connection.get("peer_cert_serial_number")
        if isinstance(serial, str):
            shown = f"{self.serial:X}"
            return None if int(serial, 16) == self.serial else f"the serial number is {serial}, not {shown}"
        validity = connection.get("peer_cert_validity")
        wanted = f"{_utc(self.not_before)} - {_utc(self.not_after)}"
        if validity is None or validity == wanted:
            return None
        return f"the certificate is valid {validity}, not {wanted}"


def _utc(moment: float) -> str:
    return f"{datetime.fromtimestamp(int(moment), UTC):%Y-%m-%dT%H:%M:%SZ}"


@dataclass(frozen=True, slots=True)
class ExpectedConnection:
    """What the broker should say about one client."""

    client_id: str
    user: str
    subject: str
    """`peer_cert_subject` in RabbitMQ's form, such as `O=client,CN=dev1`."""
    user_properties: tuple[tuple[str, str], ...] = ()
    protocol: str = "MQTT 5-0"
    node: str | None = None
    """The broker's name of the node, when the client must be on that one."""
    certificate: ExpectedCertificate | None = None
    """The certificate it shows, when that matters."""


@dataclass(frozen=True, slots=True)
class ViewResult:
    """What came of the comparison."""

    checked: int
    """Clients that were looked for."""
    ok: int
    """Clients that the broker lists once and with every value right."""
    mismatches: list[str] = field(default_factory=list)
    """The first 20 differences in words, and a last line with the number of the others."""
    by_node: dict[str, int] = field(default_factory=dict)
    """Clients of the run that each node has."""
    unexpected: int = 0
    """MQTT connections that are not of the run: someone else uses the broker too. No mismatch."""

    @property
    def passed(self) -> bool:
        """Whether every client is as it should be."""
        return self.ok == self.checked

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for result.json."""
        return {
            "checked": self.checked,
            "ok": self.ok,
            "mismatches": self.mismatches,
            "by_node": self.by_node,
            "unexpected": self.unexpected,
        }


async def check_view(
    source: ConnectionSource, expected: Iterable[ExpectedConnection], *, deadline_s: float = 15.0
) -> ViewResult:
    """Compare the broker's connections with the clients of the run until they agree or the time is over.

    RabbitMQ lists a connection up to `collect_statistics_interval` (5 s by default) after it was made, and
    an ended one for a while longer, so a first difference proves nothing.

    Args:
        source: whom to ask.
        expected: every client that is connected now.
        deadline_s: seconds until the last comparison counts.

    Raises:
        ManagementError: the API refused or did not answer.
    """
    wanted = {one.client_id: one for one in expected}
    deadline = time.monotonic() + deadline_s
    pause = _POLL_S
    while True:
        # In a thread: tens of thousands of rows take seconds, and who asks has workers to listen to.
        result = await asyncio.to_thread(compare, await source.connections(), wanted)
        left = deadline - time.monotonic()
        if result.passed or left <= 0:
            return result
        await asyncio.sleep(min(pause, left))
        pause = min(2 * pause, _POLL_MAX_S)


def compare(connections: list[dict[str, Any]], wanted: Mapping[str, ExpectedConnection]) -> ViewResult:
    """Compare one list of connections with the clients of the run.

    Args:
        connections: entries as of `GET /api/connections`; those without a client id are passed over.
        wanted: client id → what the broker should say.
    """
    seen: dict[str, list[dict[str, Any]]] = {}
    unexpected = 0
    for connection in connections:
        client_id = _client_id(connection)
        if client_id is not None and client_id in wanted:
            seen.setdefault(client_id, []).append(connection)
        elif client_id is not None:
            unexpected += 1
    by_node: Counter[str] = Counter()
    mismatches, ok = [], 0
    for client_id, one in wanted.items():
        listed = seen.get(client_id, [])
        by_node.update(str(connection.get("node")) for connection in listed)
        difference = _difference(one, listed)
        if difference is None:
            ok += 1
        else:
            mismatches.append(f"{client_id}: {difference}")
    if (more := len(mismatches) - MISMATCHES_SHOWN) > 0:
        mismatches[MISMATCHES_SHOWN:] = [f"and {more} more"]
    return ViewResult(len(wanted), ok, mismatches, dict(sorted(by_node.items())), unexpected)


def _difference(one: ExpectedConnection, listed: list[dict[str, Any]]) -> str | None:
    if not listed:
        return "the broker does not list it"
    if len(listed) > 1:
        return f"the broker lists it {len(listed)} times"
    (connection,) = listed
    pairs: list[tuple[str, object, object]] = [
        ("protocol", one.protocol, connection.get("protocol")),
        ("ssl", True, connection.get("ssl")),
        ("user", one.user, connection.get("user")),
        ("peer_cert_subject", one.subject, connection.get("peer_cert_subject")),
    ]
    if one.node is not None:
        pairs.append(("node", one.node, connection.get("node")))
    listed_properties = (connection.get("client_properties") or {}).get("user_property")
    if isinstance(listed_properties, list):  # the embedded broker keeps order and repeated names
        sent: object = [list(pair) for pair in one.user_properties]
        pairs.append(("user properties", sent, listed_properties))
    else:
        # RabbitMQ shows an object: of a repeated name only the last value is left, and no order.
        pairs.append(("user properties", dict(one.user_properties), listed_properties or {}))
    wrong = [f"{name} is {got!r}, not {want!r}" for name, want, got in pairs if got != want]
    if one.certificate is not None and (other := one.certificate.difference(connection)) is not None:
        wrong.append(other)
    return "; ".join(wrong) or None


def _client_id(connection: dict[str, Any]) -> str | None:
    # An AMQP client may call its properties what it likes, a string among them.
    properties = connection.get("client_properties")
    client_id = properties.get("client_id") if isinstance(properties, dict) else None
    return client_id if isinstance(client_id, str) else None
