"""The brokers that everything runs against; both know the same CA and ask for a client's certificate."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.figures import BenchmarkError
from benchmarks.process import start
from loadgen.broker.embedded import EmbeddedBroker
from loadgen.identity.authority import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOST = "127.0.0.1"
_START_S = 10.0
_MOSQUITTO_CONF = """\
listener {port} {host}
cafile {ca}
certfile {certificate}
keyfile {key}
require_certificate true
use_identity_as_username true
allow_anonymous true
persistence false
set_tcp_nodelay true
max_queued_messages 100000
max_inflight_messages 1000
user {user}
"""


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker that listens."""

    name: str
    port: int
    certs: Path
    """Folder of the CA and of the clients' certificates."""

    @property
    def ca(self) -> Path:
        """The CA's certificate."""
        return self.certs / "ca_certificate.pem"


def mosquitto_daemon() -> str | None:
    """Where Mosquitto's broker is; Debian keeps it where only root looks."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


@contextlib.contextmanager
def embedded(certs: Path) -> Iterator[Broker]:
    """The broker that comes with loadgen."""
    with EmbeddedBroker.with_authority(certs) as broker:
        yield Broker("the embedded broker", broker.port, certs)


@contextlib.contextmanager
def mosquitto(daemon: str, certs: Path) -> Iterator[Broker]:
    """Mosquitto.

    Raises:
        BenchmarkError: it does not listen in time.
    """
    authority = Authority.ensure(certs)
    certificate, key = authority.issue_server("mosquitto", dns=["localhost"], ip=[HOST])
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    conf = certs / "mosquitto.conf"
    conf.write_text(
        _MOSQUITTO_CONF.format(
            host=HOST,
            port=port,
            ca=authority.certificate.absolute(),
            certificate=certificate.absolute(),
            key=key.absolute(),
            # Started by root it would change to a user who may not read the key.
            user="root" if os.geteuid() == 0 else "mosquitto",
        ),
        encoding="utf-8",
    )
    with tempfile.TemporaryFile() as log:
        process = start([daemon, "-c", str(conf)], log.fileno())
        try:
            _wait_until_listening(process, port)
            yield Broker(f"Mosquitto {_version(daemon)}", port, certs)
        finally:
            process.terminate()
            process.wait()


def _wait_until_listening(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return
        time.sleep(0.05)
    raise BenchmarkError("mosquitto did not start")


def _version(daemon: str) -> str:
    shown = subprocess.run([daemon, "-h"], capture_output=True, text=True, check=False).stdout
    words = shown.split(maxsplit=3)
    return words[2] if len(words) > 2 else ""
