"""A broker that needs no installation: rumqttd from the `iotcore` wheel, TLS, MQTT 5.

It is one process, not a cluster and not RabbitMQ; docs/embedded.md lists what it cannot do. The one that
matters most: this build of rumqttd **never asks clients for a certificate** (its `verify-client-cert`
feature is off), so its TLS is not mutual.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from loadgen.errors import BrokerError

if TYPE_CHECKING:
    from types import TracebackType

START_DEADLINE_S = 15.0
_POLL_S = 0.02
_STOP_S = 5.0
_PORT_ATTEMPTS = 5
_CHILD = Path(__file__).with_name("embedded_child.py")


@dataclass(frozen=True, slots=True)
class EmbeddedLimits:
    """What the embedded broker is told to allow, set so wide that no shipped scenario meets it."""

    connections: int = 20_000
    """Clients at once; one more is closed without a CONNACK."""
    packet_bytes: int = 16_777_216
    """Largest packet from a client (RabbitMQ's default); a larger one closes the connection."""
    log_segment_bytes: int = 16_777_216
    """Each subscribed filter has a log in memory, cut in segments of this size."""
    log_segments: int = 16
    """Segments kept for a filter: a subscriber further behind than all of them loses the oldest, silently."""
    connect_timeout_ms: int = 60_000
    """How long a TLS connection may stay without CONNECT; rumqttd's type allows at most 65,535."""


def render_config(
    address: tuple[str, int], *, certificate: Path, key: Path, ca: Path, limits: EmbeddedLimits
) -> str:
    """Write the rumqttd configuration as TOML text.

    Args:
        address: IP address and TCP port to listen on; rumqttd takes no names.
        certificate: the server's PEM certificate chain.
        key: the server's PEM private key.
        ca: PEM file with the one CA that client certificates must chain to; rumqttd reads only its first.
        limits: how much the broker allows.
    """
    host, port = address
    # JSON strings are TOML basic strings for every path a file system can have.
    return f"""id = 0

[router]
id = 0
max_connections = {limits.connections}
max_outgoing_packet_count = 200
max_segment_size = {limits.log_segment_bytes}
max_segment_count = {limits.log_segments}

[v5.1]
name = "mqtt5"
listen = {json.dumps(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")}
next_connection_delay_ms = 0

[v5.1.tls]
capath = {json.dumps(str(ca))}
certpath = {json.dumps(str(certificate))}
keypath = {json.dumps(str(key))}

[v5.1.connections]
connection_timeout_ms = {limits.connect_timeout_ms}
max_payload_size = {limits.packet_bytes}
max_inflight_count = 500
"""


class EmbeddedBroker:
    """One rumqttd in a child process; a context manager that leaves no process and no file behind.

    The child ends by itself when this process dies, however it dies. It runs in a session of its own, so
    that Ctrl-C at a terminal stops the run (which still needs its broker to drain) and not the broker.
    """

    kind = "embedded"

    def __init__(
        self,
        certificate: Path,
        key: Path,
        ca: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        limits: EmbeddedLimits | None = None,
    ) -> None:
        """Keep what is needed to start; nothing is started yet.

        Args:
            certificate: the server's PEM certificate; its SAN must hold `host`.
            key: the server's PEM private key.
            ca: PEM certificate of the CA that issues the clients' certificates.
            host: IP address to listen on.
            port: TCP port to listen on; 0 takes a free one.
            limits: how much the broker allows; the defaults fit every shipped scenario.
        """
        self._certificate, self._key, self._ca = certificate, key, ca
        self._wanted_port = port
        self._limits = limits or EmbeddedLimits()
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None
        self.host = host
        self.port = port

    @property
    def uri(self) -> str:
        """Where clients connect, `mqtts://host:port`; the port is known once the broker has started."""
        return f"mqtts://{self.host}:{self.port}"

    @property
    def version(self) -> str:
        """Name and version of the package that holds the broker."""
        return f"iotcore {importlib.metadata.version('iotcore')} (rumqttd)"

    @property
    def pid(self) -> int | None:
        """Process id of the broker, None when it is not running."""
        return self._process.pid if self.running and self._process else None

    @property
    def running(self) -> bool:
        """Whether the broker's process is alive."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start the broker and return when it accepts connections.

        Raises:
            BrokerError: a file is missing, the port is taken, or the process ended or did not listen in time.
        """
        for path in (self._certificate, self._key, self._ca):
            if not path.is_file():
                raise BrokerError(
                    f"embedded broker: {path} does not exist", "make certificates with `loadgen certs issue`"
                )
        attempts = 1 if self._wanted_port else _PORT_ATTEMPTS
        for attempt in range(1, attempts + 1):
            self.port = self._wanted_port or _free_port(self.host)
            try:
                self._start_once()
            except BrokerError:
                self.stop()
                # Someone else may take a free port between our look and the broker's bind.
                if attempt == attempts:
                    raise
            else:
                break
        return self

    def _start_once(self) -> None:
        if self._wanted_port and _listening(self.host, self.port):
            raise BrokerError(
                f"embedded broker: {self.host}:{self.port} is in use",
                "choose another port, or 0 for a free one",
            )
        self._folder = Path(tempfile.mkdtemp(prefix="loadgen-embedded-"))
        config = self._folder / "rumqttd.toml"
        config.write_text(
            render_config(
                (self.host, self.port),
                certificate=self._certificate.absolute(),
                key=self._key.absolute(),
                ca=self._ca.absolute(),
                limits=self._limits,
            )
        )
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 (our own interpreter and file)
                [sys.executable, "-P", str(_CHILD), str(config)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_DEADLINE_S
        while not _listening(self.host, self.port):
            if (code := self._process.poll()) is not None:
                raise BrokerError(f"embedded broker ended with code {code} while starting: {self.log_tail()}")
            if time.monotonic() > deadline:
                raise BrokerError(
                    f"embedded broker does not listen on {self.host}:{self.port} "
                    f"after {START_DEADLINE_S:.0f} s: {self.log_tail()}"
                )
            time.sleep(_POLL_S)

    def log_tail(self, size: int = 2000) -> str:
        """Return the last `size` characters that the broker wrote, or a sentence when it wrote none."""
        text = ""
        if self._folder is not None:
            with contextlib.suppress(OSError):
                text = (self._folder / "log").read_text(errors="replace").strip()
        return text[-size:] or "it wrote nothing"

    def stop(self) -> None:
        """End the broker, wait for its process and remove its folder; safe to call twice."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdin is not None:
                process.stdin.close()
        folder, self._folder = self._folder, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def _listening(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1.0):
            return True
    except OSError:
        return False
