"""Links between nodes cut by the kernel's packet filter: nothing arrives, as when a network is divided.

Packets vanish without an answer, those of open connections too. Rules live in a table of our own, so that
nothing else on the machine is touched and all of them go with the table.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, NamedTuple, Self

from loadgen.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_NFT_S = 10.0


class Link(NamedTuple):
    """One direction in which a node calls another."""

    caller: str
    """Source address of the node that calls."""
    port: int
    """Where the other node listens."""


class PacketFilter:
    """One table of the packet filter."""

    def __init__(self, table: str) -> None:
        """Name the table; nothing is made yet."""
        self.table = table

    @classmethod
    def of_cluster(cls, directory: Path) -> Self:
        """Name the table of the local cluster in a folder."""
        return cls(f"loadgen_{hashlib.sha256(str(directory).encode()).hexdigest()[:12]}")

    def cut(self, links: Iterable[Link]) -> None:
        """Drop what goes over these links, both ways, and let everything else through; all at once.

        Raises:
            BrokerError: the packet filter refused.
        """
        rules = sorted(
            rule
            for caller, port in links
            for rule in (
                f"ip saddr {caller} tcp dport {port} drop",
                f"ip daddr {caller} tcp sport {port} drop",
            )
        )
        # The first line makes the table if need be, so that the second can remove what it held.
        lines = [f"table ip {self.table}", f"delete table ip {self.table}"]
        if rules:
            hook = "type filter hook input priority 0; policy accept;"
            lines += [f"table ip {self.table} {{ chain input {{ {hook}", *rules, "}", "}"]
        _nft("-f", "-", text="\n".join(lines) + "\n")

    def clear(self) -> None:
        """Let everything through again; nothing to remove is no error.

        Raises:
            BrokerError: the packet filter refused.
        """
        if self.present():
            self.cut(())

    def present(self) -> bool:
        """Tell whether the table is there, which a run that was killed may have left."""
        if why_no_packet_filter():
            return False
        return f"table ip {self.table}\n" in _nft("list", "tables") + "\n"


def why_no_packet_filter() -> str:
    """Say why links cannot be cut on this machine; empty when they can, as far as can be seen."""
    if os.geteuid() != 0:
        return "cutting links between nodes needs root"
    if shutil.which("nft") is None:
        return "cutting links between nodes needs the program nft, and it is not on PATH"
    return ""


def _nft(*arguments: str, text: str = "") -> str:
    try:
        done = subprocess.run(  # noqa: S603 - arguments are ours
            ["nft", *arguments],  # noqa: S607 - where it is differs between systems
            input=text,
            capture_output=True,
            text=True,
            timeout=_NFT_S,
            start_new_session=True,  # Ctrl-C must not leave nodes cut off
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BrokerError(f"nft: {error}", "install nftables, and run as root") from error
    if done.returncode:
        reason = done.stderr.strip().splitlines()[:1]
        raise BrokerError(
            f"the packet filter refused: {reason[0] if reason else 'no reason given'}",
            "a container needs CAP_NET_ADMIN, and the kernel nf_tables",
        )
    return done.stdout
