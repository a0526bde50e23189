"""Which ports a local cluster takes, and whether they are free."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

from loadgen.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Iterable

# Below the range from which the kernel takes ports for outgoing connections (32768 and up): a client of the
# load test must never hold the port that a node needs when it comes back.
_INTERNAL_PORTS = range(24_400, 28_400)
_LOOPBACK = "127.0.0.1"


def problem_with(address: str, port: int) -> str | None:
    """Say why nothing can listen there; None when it is free."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return f"{address}:{port} is in use"
            return f"{address}:{port}: {error.strerror}"
    return None


def require_free(endpoints: Iterable[tuple[str, int]]) -> None:
    """Refuse a start that would fail later.

    Raises:
        BrokerError: Naming every endpoint that is taken.
    """
    problems = [problem for address, port in endpoints if (problem := problem_with(address, port))]
    if problems:
        raise BrokerError(
            "the cluster cannot listen: " + "; ".join(problems),
            "end what listens there (`loadgen cluster down`?), or choose --mqtt-port and --management-port",
        )


def internal_block(count: int, mqtt_port: int) -> int:
    """Find the first of `count` consecutive free loopback ports for epmd and the links between nodes.

    Args:
        count: how many.
        mqtt_port: of the cluster's first node. The search begins at a place of its own for each, so that two
            clusters that start at the same moment do not find the same ports free.

    Raises:
        BrokerError: there are not so many.
    """
    places = range(_INTERNAL_PORTS.start, _INTERNAL_PORTS.stop - count, count)
    for place in range(len(places)):
        first = places[(37 * mqtt_port + place) % len(places)]
        if all(problem_with(_LOOPBACK, port) is None for port in range(first, first + count)):
            return first
    raise BrokerError(
        f"no {count} consecutive free ports in {_INTERNAL_PORTS.start} to {_INTERNAL_PORTS.stop}",
        "end other clusters on this machine",
    )


def accepts(address: str, port: int, timeout_s: float = 1.0) -> bool:
    """Tell whether something accepts TCP connections there."""
    try:
        with socket.create_connection((address, port), timeout=timeout_s):
            return True
    except OSError:
        return False
