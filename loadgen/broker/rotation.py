"""Other CAs and server certificates for brokers that run: what a CA rotation does to them, and undoes."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Protocol

from loadgen.errors import BrokerError
from loadgen.identity import storage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from loadgen.broker.cluster import LocalCluster

_CLEAR = "[ok = erpc:call(Node, ssl, clear_pem_cache, []) || Node <- [node() | nodes()]]."
"""Erlang keeps the files of TLS for two minutes; this makes every node read them for the next connection."""
_COMMAND_LIMIT = 120.0
_TAIL = 300


class Trust(Protocol):
    """What the brokers trust and show. Blocking; each call returns when every broker has taken it up."""

    def trust(self, phase: str, authorities: Path) -> None:
        """Trust the clients of these CAs (a PEM file) and no others.

        Args:
            phase: `trust_both` or `trust_new`.
            authorities: the CAs' certificates.

        Raises:
            BrokerError: a broker could not be told.
        """

    def show(self, certificate: Path, key: Path) -> None:
        """Show another server certificate.

        Raises:
            BrokerError: a broker could not be told.
        """

    def restore(self) -> None:
        """Make the brokers as they were; more than once does no harm.

        Raises:
            BrokerError: a broker could not be told.
        """


class LocalTrust:
    """The nodes of a local cluster: their files are replaced, and read again."""

    def __init__(self, cluster: LocalCluster) -> None:
        """Remember what the nodes read now."""
        self._cluster = cluster
        folder = cluster.ca.parent
        self._certificate, self._key = folder / "server_certificate.pem", folder / "server_key.pem"
        self._before = {path: path.read_bytes() for path in (cluster.ca, self._certificate, self._key)}

    def trust(self, phase: str, authorities: Path) -> None:  # noqa: ARG002 - for those who run commands
        """See `Trust`."""
        self._write({self._cluster.ca: authorities.read_bytes()})

    def show(self, certificate: Path, key: Path) -> None:
        """See `Trust`."""
        self._write({self._key: key.read_bytes(), self._certificate: certificate.read_bytes()})

    def restore(self) -> None:
        """See `Trust`."""
        changed = {path: old for path, old in self._before.items() if path.read_bytes() != old}
        if changed:
            self._write(changed)

    def _write(self, files: Mapping[Path, bytes]) -> None:
        with storage.exclusive(self._cluster.directory):
            for path, content in files.items():
                storage.write_file(path, content, storage.PRIVATE)
        up = [node.name for node in self._cluster.status() if node.running]
        if up:  # a node that starts later reads the files anyway
            self._cluster.rabbitmqctl(up[0].partition("@")[0], "eval", _CLEAR)


class CommandTrust:
    """Brokers that only commands reach; what they need to know is in the environment."""

    def __init__(self, commands: Mapping[str, str | None], environment: Mapping[str, str]) -> None:
        """Take a line for `/bin/sh -c` by phase; phases without one are left out.

        Args:
            commands: by `trust_both`, `show_new`, `trust_new` and `restore`.
            environment: added to ours.
        """
        self._commands = commands
        self._environment = environment
        self._changed = False

    def trust(self, phase: str, authorities: Path) -> None:  # noqa: ARG002 - it is in the environment
        """See `Trust`."""
        self._run(phase)

    def show(self, certificate: Path, key: Path) -> None:  # noqa: ARG002 - they are in the environment
        """See `Trust`."""
        self._run("show_new")

    def restore(self) -> None:
        """See `Trust`."""
        if self._changed:
            self._run("restore")
            self._changed = False

    def _run(self, phase: str) -> None:
        command = self._commands.get(phase)
        if command is None:
            return
        self._changed = True
        try:
            done = subprocess.run(  # noqa: S603 - the scenario's own command
                ["/bin/sh", "-c", command],
                env={**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=_COMMAND_LIMIT,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise BrokerError(f"the command {phase} took over {_COMMAND_LIMIT:g} s") from error
        if done.returncode:
            tail = done.stdout.strip()[-_TAIL:]
            raise BrokerError(f"the command {phase} failed with {done.returncode}: {tail or 'no output'}")
