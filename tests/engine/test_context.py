from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from loadgen.engine.context import FleetContext
from loadgen.engine.phase import Phase, is_permanent
from loadgen.errors import ConfigError, TargetError
from loadgen.identity.login import LoginRule
from loadgen.identity.tls import TlsOffer
from loadgen.plan.settings import TargetSettings

if TYPE_CHECKING:
    from pathlib import Path


def settings(*nodes: tuple[str, int], ca: str | None = None) -> TargetSettings:
    tls = TlsOffer(("1.3",), insecure=ca is None)
    return TargetSettings(nodes, ca, tls, None, (), 1, 1, 1, None, LoginRule())


class Named:
    """As much of a client as a context looks at."""

    def __init__(self, group: str = "g", node: int = 0) -> None:
        self.plan: Any = self
        self.group, self.node, self.client_id = group, node, "id"


@pytest.fixture
def context() -> FleetContext:
    loop: Any = None
    return FleetContext(loop, settings(("a", 1), ("b", 2)), 7, 1)


def test_phases_and_nodes_are_counted(context: FleetContext) -> None:
    client: Any = Named(node=1)
    for old, new in (
        (Phase.IDLE, Phase.TCP),
        (Phase.TCP, Phase.SUBSCRIBING),
        (Phase.SUBSCRIBING, Phase.READY),
    ):
        context.moved(client, old, new)
    assert +context.phases == {("g", Phase.READY): 1}
    assert +context.connected_by_node == {1: 1}
    context.moved(client, Phase.READY, Phase.WAITING)
    assert not +context.connected_by_node


def test_a_storm_of_events_is_bounded_and_counted(context: FleetContext) -> None:
    client: Any = Named(node=1)
    for _ in range(5_010):
        context.note("lost", client, cause="x")
    assert len(context.events) == 5_000
    assert context.events_dropped == 10
    assert context.events[0].items() >= {"event": "lost", "node": "b:2", "cause": "x", "group": "g"}.items()


def test_the_first_of_a_kind_is_told_once(context: FleetContext) -> None:
    client: Any = Named()
    for _ in range(3):
        context.note_once("odd", client)
    assert len(context.events) == 1


def test_addresses_of_a_name_are_kept_in_order_and_once() -> None:
    class Loop:
        async def getaddrinfo(self, *_: object, **__: object) -> list[Any]:
            await asyncio.sleep(0)
            return [(0, 0, 0, "", (host, 0)) for host in ("::1", "127.0.0.1", "::1")]

    loop: Any = Loop()
    context = FleetContext(loop, settings(("localhost", 8883)), 7, 1)
    asyncio.run(context.resolve())
    assert context.addresses(0) == (("::1", 8883), ("127.0.0.1", 8883))


def test_a_name_without_address_is_the_targets_fault() -> None:
    class Loop:
        async def getaddrinfo(self, *_: object, **__: object) -> list[Any]:
            raise OSError(-2, "Name or service not known")

    loop: Any = Loop()
    context = FleetContext(loop, settings(("nowhere.invalid", 8883)), 7, 1)
    with pytest.raises(TargetError, match=r"nowhere\.invalid"):
        asyncio.run(context.resolve())


def test_a_ca_file_that_is_missing_is_found_at_once(tmp_path: Path) -> None:
    loop: Any = None
    with pytest.raises(ConfigError, match=r"gone\.pem"):
        FleetContext(loop, settings(("a", 1), ca=str(tmp_path / "gone.pem")), 7, 1)


@pytest.mark.parametrize(
    "cause", ["refused:0x86", "refused:0x87", "tls:tlsv1_alert_unknown_ca", "certificate:x"]
)
def test_causes_that_a_retry_cannot_mend(cause: str) -> None:
    assert is_permanent(cause)


@pytest.mark.parametrize("cause", ["refused:0x88", "refused:0x89", "refused", "timeout", "reset", "closed"])
def test_causes_that_it_can(cause: str) -> None:
    assert not is_permanent(cause)
