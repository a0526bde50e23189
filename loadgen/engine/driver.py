"""Which library makes a fleet's connections: ours, or aiomqtt as a device might use it."""

from __future__ import annotations

import asyncio
import importlib.metadata
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from loadgen.engine.client import Client
from loadgen.engine.loop import run_on_fast_loop
from loadgen.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from loadgen.engine.context import FleetContext
    from loadgen.metrics.recorder import GroupRecorder
    from loadgen.plan.payload import PayloadFactory
    from loadgen.plan.plan import ClientPlan
    from loadgen.plan.settings import GroupSettings

T = TypeVar("T")

NATIVE = "native"
AIOMQTT = "aiomqtt"
DRIVERS = (NATIVE, AIOMQTT)

_KNOWN = "2.5."
"""The releases of aiomqtt whose inner workings `aiomqtt_link` knows."""


class ClientFactory(Protocol):
    """Makes one client of a fleet; what it makes is a `Client`, however it connects."""

    def __call__(
        self,
        context: FleetContext,
        plan: ClientPlan,
        group: GroupSettings,
        recorder: GroupRecorder,
        factories: dict[int, PayloadFactory],
    ) -> Client:
        """Give the client, idle."""


def client_factory(driver: str, loop: asyncio.AbstractEventLoop, clients: int) -> ClientFactory:
    """The factory of a driver (one of `DRIVERS`), for `clients` clients in this loop."""
    if driver == NATIVE:
        return Client
    # Only now: the library is an extra, and costs memory.
    from loadgen.engine.aiomqtt_client import AiomqttClient, make_room_for_connects  # noqa: PLC0415

    make_room_for_connects(loop, clients)
    return AiomqttClient


def run_with(driver: str, main: Coroutine[Any, Any, T]) -> T:
    """Run `main` on the driver's event loop and give its result.

    aiomqtt runs on asyncio's own loop, as devices have it. It watches sockets by their number, and uvloop
    stops to watch one that was reset even while what came before is unread: the end would pass unseen.
    """
    return run_on_fast_loop(main) if driver == NATIVE else asyncio.run(main)


def check_driver(
    driver: str,
    *,
    topic_aliases: bool = False,
    forgetful: bool = False,
    answers: bool = False,
    certificates: bool = False,
) -> None:
    """See whether the driver can be used here.

    Args:
        driver: one of `DRIVERS`.
        topic_aliases: whether the scenario asks for them.
        forgetful: whether it has a group that does not resume its session or send again after a loss.
        answers: whether it has groups with `expect`, with a user name or without a certificate.
        certificates: whether its clients get other certificates while they run.

    Raises:
        ConfigError: its library is not installed or of a release we do not know, or lacks what is asked for.
    """
    if driver == NATIVE:
        return
    if topic_aliases:
        what = f"--client {AIOMQTT}: aiomqtt keeps no topic aliases"
        raise ConfigError(what, "leave topic_alias out, or use --client native")
    if forgetful:
        what = f"--client {AIOMQTT}: aiomqtt always resumes its session and sends again"
        raise ConfigError(what, "leave reconnect.resume and reconnect.resend out, or use --client native")
    if answers:
        what = f"--client {AIOMQTT}: groups with expect, username or without a certificate are loadgen's own"
        raise ConfigError(what, "leave them out, or use --client native")
    if certificates:
        what = f"--client {AIOMQTT}: a client of aiomqtt keeps its certificate"
        raise ConfigError(what, "leave certificates out, or use --client native")
    try:
        version = importlib.metadata.version(AIOMQTT)
    except importlib.metadata.PackageNotFoundError:
        raise ConfigError(f"--client {AIOMQTT}: aiomqtt is not installed", _MEND) from None
    if not version.startswith(_KNOWN):
        what = f"--client {AIOMQTT}: aiomqtt {version} is installed, and loadgen knows {_KNOWN}x"
        raise ConfigError(what, _MEND)


_MEND = "pip install 'loadgen[aiomqtt]'"


def described(driver: str) -> str:
    """The driver as reports name it, with its library's version."""
    if driver == NATIVE:
        return NATIVE
    version = importlib.metadata.version
    return f"{AIOMQTT} {version(AIOMQTT)} (paho-mqtt {version('paho-mqtt')})"
