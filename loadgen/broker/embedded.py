"""A broker that needs no installation: a small MQTT 5 broker of our own in a child process, mutual TLS.

It is one process, not a cluster and not RabbitMQ; docs/embedded.md lists what it cannot do. Use it to
learn loadgen, to test scenarios and to measure the generator, never to say something about RabbitMQ.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

import loadgen
from loadgen.errors import BrokerError
from loadgen.identity.authority import Authority

if TYPE_CHECKING:
    from types import TracebackType

START_DEADLINE_S = 20.0
ANSWER_DEADLINE_S = 20.0
_STOP_S = 5.0
# Not `-m`: the child must import this very package, wherever it is, with nothing before the standard library.
_BOOTSTRAP = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from loadgen.broker.embedded_server import main; main(sys.argv[2])"
)


class EmbeddedBroker:
    """One broker in a child process; a context manager that leaves no process and no file behind.

    The child ends by itself when this process dies, however it dies. It runs in a session of its own, so
    that Ctrl-C at a terminal stops the run (which still needs its broker to drain) and not the broker.
    """

    kind = "embedded"

    @classmethod
    def with_authority(cls, directory: Path, **options: Any) -> Self:  # noqa: ANN401 (those of __init__)
        """Make a broker whose server certificate comes from the CA in `directory`, made when there is none.

        Args:
            directory: of the CA that also issues the clients' certificates, such as `certs/out`.
            options: `host`, `port` and `max_connections` as for the class.

        Raises:
            ConfigError: the CA's files cannot be used or written.
        """
        authority = Authority.ensure(directory)
        certificate, key = authority.issue_server("embedded", dns=["localhost"], ip=["127.0.0.1", "::1"])
        return cls(certificate, key, authority.certificate, **options)

    def __init__(
        self,
        certificate: Path,
        key: Path,
        ca: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        max_connections: int = 50_000,
    ) -> None:
        """Keep what is needed to start; nothing is started yet.

        Args:
            certificate: the server's PEM certificate; its SAN must hold `host`.
            key: the server's PEM private key.
            ca: PEM certificates of the CAs that may issue clients' certificates.
            host: address to listen on.
            port: TCP port to listen on; 0 takes a free one.
            max_connections: clients at once; one more gets CONNACK 0x97 (quota exceeded).
        """
        self._files = {"certificate": certificate, "key": key, "ca": ca}
        self._settings = {"host": host, "port": port, "max_connections": max_connections}
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._asking = threading.Lock()
        self.host = host
        self.port = port

    @property
    def uri(self) -> str:
        """Where clients connect, `mqtts://host:port`; the port is known once the broker has started."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"mqtts://{host}:{self.port}"

    @property
    def version(self) -> str:
        """The broker's version, which is loadgen's."""
        return loadgen.__version__

    @property
    def pid(self) -> int | None:
        """Process id of the broker, None when it is not running."""
        return self._process.pid if self._process is not None and self.running else None

    @property
    def running(self) -> bool:
        """Whether the broker's process is alive."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start the broker and return when it accepts connections.

        Raises:
            BrokerError: a file is missing, the port is taken, or the broker did not start in time.
        """
        for path in self._files.values():
            if not path.is_file():
                raise BrokerError(
                    f"embedded broker: {path} does not exist", "make certificates with `loadgen certs issue`"
                )
        settings = self._settings | {name: str(path.absolute()) for name, path in self._files.items()}
        self._log = tempfile.TemporaryFile(prefix="loadgen-embedded-")  # noqa: SIM115 (closed by stop)
        package_root = Path(loadgen.__file__).parents[1]
        self._process = subprocess.Popen(  # noqa: S603 (our own interpreter and code)
            [sys.executable, "-P", "-c", _BOOTSTRAP, str(package_root), json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
        )
        try:
            self.port = self._read_answer(START_DEADLINE_S)["port"]
        except BrokerError as error:
            log = self.log_tail()
            self.stop()
            mend = "choose another port, or 0 for a free one" if "in use" in log else ""
            raise BrokerError(
                f"embedded broker did not start on {self.host}:{self._settings['port']}: {log}", mend
            ) from error
        return self

    def report(self) -> dict[str, Any]:
        """Ask the broker what it sees.

        Returns:
            `received`, `unroutable` and `dropped_qos0` (messages), `sessions`, and `connections`, each as an
            entry of RabbitMQ's `GET /api/connections` but with user properties as a list of pairs, in order.

        Raises:
            BrokerError: the broker is not running or does not answer.
        """
        with self._asking:
            if self._process is None or self._process.stdin is None:
                raise BrokerError("embedded broker is not running")
            try:
                self._process.stdin.write(b"report\n")
                self._process.stdin.flush()
            except OSError as error:
                raise BrokerError(f"embedded broker is gone: {self.log_tail()}") from error
            return self._read_answer(ANSWER_DEADLINE_S)

    async def connections(self) -> list[dict[str, Any]]:
        """List the clients, so that the broker's view of a run can be checked here as with RabbitMQ."""
        report = await asyncio.to_thread(self.report)
        connections: list[dict[str, Any]] = report["connections"]
        return connections

    def _read_answer(self, deadline_s: float) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        deadline = time.monotonic() + deadline_s
        answer = b""
        while not answer.endswith(b"\n"):
            # A pipe's buffered reader would hide bytes from select, so this reads the descriptor itself.
            ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise BrokerError(f"embedded broker gave no answer in {deadline_s:.0f} s")
            chunk = os.read(pipe, 1 << 20)
            if not chunk:
                raise BrokerError(f"embedded broker ended: {self.log_tail()}")
            answer += chunk
        result: dict[str, Any] = json.loads(answer)
        return result

    def log_tail(self, size: int = 2000) -> str:
        """Return the last `size` bytes that the broker wrote to standard error, or a sentence if none."""
        if self._log is None or self._log.closed:
            return "it wrote nothing"
        descriptor = self._log.fileno()
        length = os.fstat(descriptor).st_size
        text = os.pread(descriptor, size, max(0, length - size)).decode(errors="replace").strip()
        return text or "it wrote nothing"

    def stop(self) -> None:
        """End the broker and wait for its process; safe to call twice."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
        if self._log is not None:
            self._log.close()

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()
