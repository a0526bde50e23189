"""TCP connections from a chosen address of this machine."""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

_BIND_ADDRESS_NO_PORT = 24
"""IP_BIND_ADDRESS_NO_PORT of Linux's <linux/in.h>, which Python's socket module names only from 3.12 on."""


async def dial_from(
    loop: asyncio.AbstractEventLoop, connection: asyncio.Protocol, source: str, host: str, port: int
) -> None:
    """Connect from the address `source` to an address and port, and hand the socket to `connection`.

    Raises:
        OSError: no connection; EADDRNOTAVAIL when `source` is no address of this machine or its ports towards
            this one are used up, EAFNOSUPPORT when one is IPv4 and the other IPv6.
    """
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    if _is_numeric(host):  # to look it up would cost a thread's work for every connection
        addresses: list[tuple[Any, ...]] = [(host, port)] if (":" in host) == (":" in source) else []
    else:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [each[4] for each in found if each[0] == family]
    if not addresses:
        raise OSError(errno.EAFNOSUPPORT, f"{host} has no address of the same kind as {source}")
    raw = bound_socket(family, source)
    try:
        await loop.sock_connect(raw, addresses[0])
        await loop.create_connection(lambda: connection, sock=raw)
    except BaseException:  # a cancelled attempt must not leave its socket behind either
        raw.close()
        raise


def _is_numeric(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            socket.inet_pton(family, host)
            return True
    return False


def bound_socket(family: socket.AddressFamily, source: str) -> socket.socket:
    """Give a non-blocking TCP socket bound to an address, its port left open until it connects.

    A port fixed at bind() would be taken from all destinations at once; chosen at connect(), the same port
    serves one connection to each node.

    Raises:
        OSError: `source` is no address of this machine.
    """
    raw = socket.socket(family, socket.SOCK_STREAM)
    try:
        raw.setblocking(False)
        if sys.platform == "linux":
            raw.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
        raw.bind((source, 0))
    except OSError:
        raw.close()
        raise
    return raw


def not_local(source: str) -> str:
    """Say why this machine cannot connect from an address; empty when it can."""
    try:
        bound_socket(socket.AF_INET6 if ":" in source else socket.AF_INET, source).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""
