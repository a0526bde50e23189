"""One real connection to each node before the run: says in plain words what is wrong with the target."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from loadgen.engine.transport import Connection, cause_of
from loadgen.errors import TargetError
from loadgen.identity.tls import IdentityContexts
from loadgen.mqtt.config import SessionConfig
from loadgen.mqtt.events import BrokenRuleError, Connected, Refused
from loadgen.mqtt.session import Session

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from loadgen.plan.plan import ClientPlan
    from loadgen.plan.settings import GroupSettings, TargetSettings

_CONNACK_LIMIT = 10.0
"""Seconds; a healthy cluster answers at once, and a refusal takes RabbitMQ 3 s."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one connection went."""

    phase: str
    """Where it ended: tcp, tls, connack, or ready."""
    cause: str = ""


class _Probe:
    """Owner of one connection that only wants a CONNACK."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.phase = "tcp"
        self.done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.connection: Connection | None = None

    def _finish(self, outcome: Outcome) -> None:
        if not self.done.done():
            self.done.set_result(outcome)

    def secured(self) -> None:
        self.phase = "connack"
        self.session.connect()
        assert self.connection is not None
        self.connection.send(self.session.take())

    def received(self, data: bytes) -> None:
        try:
            events = self.session.receive(data)
        except BrokenRuleError:
            self._finish(Outcome("connack", "not-mqtt"))
            return
        for event in events:
            if isinstance(event, Connected):
                self._finish(Outcome("ready"))
            elif isinstance(event, Refused):
                self._finish(Outcome("connack", f"refused:0x{event.reason:02X}"))

    def writable_again(self) -> None:
        """Nothing waits here."""

    def lost(self, cause: str) -> None:
        self._finish(Outcome(self.phase, cause))


async def probe(
    target: TargetSettings, node: int, client: ClientPlan, group: GroupSettings, contexts: IdentityContexts
) -> Outcome:
    """Connect as `client` to node number `node`, wait for CONNACK, disconnect."""
    session = Session(
        SessionConfig(
            client_id=client.client_id,
            clean_start=group.clean_start,
            session_expiry=group.session_expiry,
            keep_alive=group.keep_alive,
            user_properties=client.user_properties,
        )
    )
    owner = _Probe(session)
    host, port = target.nodes[node]

    def make_tls(incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> ssl.SSLObject:
        owner.phase = "tls"
        return contexts.for_identity(client.identity).wrap_bio(
            incoming, outgoing, server_hostname=target.server_name or host
        )

    connection = owner.connection = Connection(owner, make_tls)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(target.tcp_timeout / 1e9):
            await loop.create_connection(lambda: connection, host, port)
    except (OSError, TimeoutError) as error:
        connection.abort(cause_of(error))
    try:
        async with asyncio.timeout(target.tls_timeout / 1e9 + _CONNACK_LIMIT):
            outcome = await owner.done
    except TimeoutError:
        outcome = Outcome(owner.phase, "timeout")
    if outcome.phase == "ready":
        session.disconnect()
        connection.send(session.take())
    connection.close()
    return outcome


async def check_target(
    target: TargetSettings, clients: Sequence[ClientPlan], groups: dict[str, GroupSettings]
) -> None:
    """Connect once to every node, each with the first client that is planned for it.

    Raises:
        TargetError: some node cannot be used; the message names each such node, the cause and the mend.
    """
    contexts = IdentityContexts(_path(target.ca), target.versions, insecure=target.insecure)
    chosen: dict[int, ClientPlan] = {}
    for client in clients:
        chosen.setdefault(client.nodes[0], client)
        if len(chosen) == len(target.nodes):
            break
    nodes = sorted(chosen)
    outcomes = await asyncio.gather(
        *(probe(target, node, chosen[node], groups[chosen[node].group], contexts) for node in nodes)
    )
    failed = [
        explain(target, node, chosen[node], outcome)
        for node, outcome in zip(nodes, outcomes, strict=True)
        if outcome.phase != "ready"
    ]
    if failed:
        what = "; ".join(dict.fromkeys(what for what, _ in failed))
        mend = "; ".join(dict.fromkeys(mend for _, mend in failed))
        raise TargetError(what, mend)


def explain(target: TargetSettings, node: int, client: ClientPlan, outcome: Outcome) -> tuple[str, str]:
    """(what happened, how to mend it) for a connection that did not come to CONNACK 0x00."""
    name = target.node_names[node]
    host = target.server_name or target.nodes[node][0]
    cause = outcome.cause
    if outcome.phase == "tcp":
        return (
            f"{name}: {_TCP.get(cause, cause)}",
            "check target.uris, and that the broker runs there (loadgen cluster status)",
        )
    if cause.startswith("certificate:"):
        return (
            f"{name}: our certificate cannot be used: {cause.removeprefix('certificate:')}",
            "loadgen certs verify",
        )
    if cause.startswith("tls:certificate_verify_failed"):
        return _unverified(name, host, cause)
    if (
        cause == "tls:wrong_version_number"
        or "record_layer_failure" in cause
        or (outcome.phase == "tls" and cause in ("closed", "reset", "timeout"))
    ):
        return (
            f"{name} does not speak TLS ({cause.removeprefix('tls:')})",
            "MQTT over TLS is usually on port 8883; check target.uris",
        )
    if "alert" in cause:
        return (
            f"{name} refuses the certificate of {client.client_id!r}: {cause.removeprefix('tls:')}",
            "issue it with the CA that the broker trusts (ssl_options.cacertfile)",
        )
    if cause.startswith("refused:"):
        return _refused(name, client, cause.removeprefix("refused:"))
    if outcome.phase == "connack":
        return (
            f"{name} speaks TLS but does not answer CONNECT as an MQTT 5 broker does ({cause})",
            "check that target.uris names the MQTT port, not that of another protocol",
        )
    return f"{name}: {outcome.phase}: {cause}", "check target.uris and target.tls"


_TCP = {
    "refused": "connection refused: nothing listens there",
    "timeout": "no answer to the TCP connection within the time limit",
    "unreachable": "the host is unreachable",
    "dns": "the name cannot be resolved",
    "closed": "the connection was closed at once",
    "reset": "the connection was reset at once",
}


def _unverified(name: str, host: str, cause: str) -> tuple[str, str]:
    reason = cause.removeprefix("tls:certificate_verify_failed:")
    if "mismatch" in reason or "not valid for" in reason:
        return (
            f"{name}: the broker's certificate is not for {host!r} ({reason})",
            "use a name that stands in the certificate, or set target.tls.server_name",
        )
    if "expired" in reason:
        return f"{name}: the broker's certificate has expired", "renew it on the broker"
    return (
        f"{name}: the broker's certificate is not signed by target.tls.ca ({reason})",
        "name the CA that signed it in target.tls.ca",
    )


def _refused(name: str, client: ClientPlan, code: str) -> tuple[str, str]:
    user = client.identity.cn
    if code == "0x86":
        return (
            f"{name} refuses {client.client_id!r} with 0x86: bad user name or password; user {user!r} is probably not known",
            "run `loadgen provision SCENARIO`, and check that the broker has mqtt.ssl_cert_login = true",
        )
    if code == "0x87":
        return (
            f"{name} refuses {client.client_id!r} with 0x87: user {user!r} has no permission",
            "run `loadgen provision SCENARIO`",
        )
    if code == "0x85":
        return (
            f"{name} refuses client id {client.client_id!r} with 0x85: not the one its certificate allows",
            "the broker checks client ids (mqtt.ssl_cert_client_id_from): use an id from the certificate, such as {san.dns}",
        )
    return f"{name} refuses {client.client_id!r} with {code}", "see the broker's log"


def _path(ca: str | None) -> Path | None:
    return Path(ca) if ca else None
