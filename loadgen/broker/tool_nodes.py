"""What containers and pods have in common: RabbitMQ's tools run inside, clients come by published ports."""

from __future__ import annotations

import asyncio
import socket
import ssl
from time import monotonic_ns
from typing import TYPE_CHECKING

from loadgen.broker import maintenance
from loadgen.broker.acts import Act, in_thread, run_tool
from loadgen.broker.nodes import CLI_S, SERVING_S
from loadgen.broker.process import wait_until
from loadgen.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadgen.broker.faults import Address, Step

_PROBE_S = 2.0


class ToolNodes:
    """Nodes whose tools are reached by another program; see `nodes.Nodes`."""

    same_clock: bool
    """Whether the nodes' clocks are this machine's."""

    def __init__(self, names: Sequence[str], uris: Sequence[Address]) -> None:
        """Name the nodes, in the order of their addresses."""
        self.names = tuple(names)
        self._uris = dict(zip(self.names, uris, strict=True))

    def inside(self, name: str, *command: str) -> list[str]:
        """Give the command line that runs a command where the node is."""
        raise NotImplementedError

    def erlang_host(self, name: str) -> str:
        """A container's or pod's name is its host name."""
        return name

    async def drain(self, names: Sequence[str], step: Step) -> None:
        """Do as `rabbitmq-upgrade drain` does."""
        await asyncio.gather(
            *(self._maintain(name, step, maintenance.DRAIN, "draining", "drained") for name in names)
        )

    async def revive(self, names: Sequence[str], step: Step) -> None:
        """Do as `rabbitmq-upgrade revive` does."""
        await asyncio.gather(
            *(self._maintain(name, step, maintenance.REVIVE, "reviving", "revived") for name in names)
        )
        await in_thread(self.await_serving, names, step)

    async def evaluate(self, name: str, expression: str) -> str:
        """Ask by `rabbitmqctl eval`, run inside."""
        command = self.inside(name, "rabbitmqctl", "eval", expression)
        return await asyncio.to_thread(run_tool, command, CLI_S)

    async def _maintain(self, name: str, step: Step, expression: str, first: str, last: str) -> None:
        began = monotonic_ns()
        answer = await self.evaluate(name, expression)
        ended = monotonic_ns()
        times = maintenance.moments(answer, same_clock=self.same_clock, began=began, ended=ended)
        step(first, name, times[0])
        step(last, name, times[1])

    def await_serving(self, names: Sequence[str], act: Act) -> None:
        """Wait until each node's listener speaks TLS; call it in a thread.

        A published port accepts connections while nothing listens behind it, so TCP alone proves nothing.
        """
        waiting = list(names)

        def done() -> bool:
            for name in list(waiting):
                if speaks_tls(self._uris[name]):
                    waiting.remove(name)
                    act.step("serving", name, monotonic_ns())
            return not waiting or act.given_up.is_set()

        if not wait_until(done, SERVING_S, 0.2):
            raise BrokerError(f"{', '.join(waiting)} did not serve within {SERVING_S:g} s")


def speaks_tls(uri: Address) -> bool:
    """Tell whether something answers a TLS handshake there, be it with a refusal."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is sent that a wrong server might learn
    try:
        with (
            socket.create_connection((uri.host, uri.port), timeout=_PROBE_S) as raw,
            context.wrap_socket(raw, server_hostname=uri.host),
        ):
            return True
    except ssl.SSLError as error:
        return "ALERT" in str(error.reason)  # TLS 1.2 refuses a client without a certificate
    except OSError:
        return False
