"""What is wrong with a target, found by one connection and told in one line: through the command line."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from loadgen.cli import call
from tests.cli.conftest import Certs, certs, other_certs, write_scenario
from tests.fakes.tcp_broker import FakeBroker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

__all__ = ["certs", "other_certs"]


class Preflight:
    """Runs `loadgen run` against a port until the target is found wanting."""

    def __init__(self, folder: Path, certs: Certs, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.certs = certs
        self._capsys = capsys

    async def error(self, port: int, *settings: str, line: int = 3, code: int = 106) -> str:
        """The one error of a run whose scenario has the given line for the place to blame."""
        write_scenario(self.folder, self.certs, port)
        flags = [word for setting in settings for word in ("--set", setting)]
        assert await asyncio.to_thread(call, ["run", "small.yaml", *flags]) == code
        told = self._capsys.readouterr()
        assert told.out == ""
        (error,) = told.err.splitlines()
        assert error.startswith("error: --set " if not line else f"error: small.yaml:{line}: ")
        assert f"127.0.0.1:{port}: " in error or "localhost" in error
        assert error.endswith(")")
        assert not (self.folder / "runs").exists()
        return error


@pytest.fixture
def preflight(
    tmp_path: Path, certs: Certs, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Preflight:
    monkeypatch.chdir(tmp_path)
    return Preflight(tmp_path, certs, capsys)


@asynccontextmanager
async def server(answer: bytes | None, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Accept connections; send `answer` to whoever speaks, or stay silent for None, or hang up for b""."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if answer is None:
                await reader.read()
            elif await reader.read(1):
                writer.write(answer)
        except OSError:
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as made:
        yield made.sockets[0].getsockname()[1]


@contextmanager
def alerting_server(context: ssl.SSLContext) -> Iterator[int]:
    """Refuse one handshake as OpenSSL's own sockets do, with an alert that asyncio's TLS does not send."""

    def serve() -> None:
        raw, _ = listener.accept()
        with suppress(OSError), raw:
            raw.settimeout(10)
            with suppress(ssl.SSLError):
                context.wrap_socket(raw.dup(), server_side=True, suppress_ragged_eofs=True).recv(1)
            raw.shutdown(socket.SHUT_WR)
            while raw.recv(1 << 16):  # else what was not read makes a reset, which overtakes the alert
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(20)


def test_nothing_listens(preflight: Preflight) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        error = asyncio.run(preflight.error(bound.getsockname()[1]))
    assert "target.uris: " in error
    assert "connection refused: nothing listens there" in error


def test_packets_vanish(preflight: Preflight) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        # The kernel drops what does not fit into the queue of a listener that never accepts.
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        error = asyncio.run(preflight.error(full.getsockname()[1], "target.timeouts.tcp=300ms"))
        for one in waiting:
            one.close()
    assert "no answer to the TCP connection within target.timeouts.tcp" in error
    assert "firewall" in error


def test_name_that_is_not_known(preflight: Preflight, capsys: pytest.CaptureFixture[str]) -> None:
    write_scenario(preflight.folder, preflight.certs, 1)
    assert call(["run", "small.yaml", "--set", "target.uris=[mqtts://no-such-host.invalid]"]) == 106
    assert "no-such-host.invalid:8883: the name cannot be resolved" in capsys.readouterr().err


@pytest.mark.parametrize("answer", [b"220 ready\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_no_tls_at_all(preflight: Preflight, answer: bytes) -> None:
    async def main() -> str:
        async with server(answer) as port:
            return await preflight.error(port)

    error = asyncio.run(main())
    assert "does not speak TLS" in error
    assert "8883" in error


def test_a_silent_server(preflight: Preflight) -> None:
    async def main() -> str:
        async with server(None) as port:
            return await preflight.error(port, "target.timeouts.tls=300ms")

    assert "does not answer TLS within 0.3s" in asyncio.run(main())


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "answers CONNECT with something else than MQTT 5"),
        (b"", "closed the connection instead of answering CONNECT"),
        (None, "gives no answer to CONNECT"),
    ],
)
def test_tls_but_not_mqtt(preflight: Preflight, answer: bytes | None, words: str) -> None:
    async def main() -> str:
        async with server(answer, preflight.certs.server_context(mutual=False)) as port:
            return await preflight.error(port, "target.timeouts.connack=500ms")

    error = asyncio.run(main())
    assert "speaks TLS but" in error
    assert words in error


def test_wrong_server_name(preflight: Preflight) -> None:
    async def main() -> str:
        async with FakeBroker(ssl=preflight.certs.server_context()) as broker:
            return await preflight.error(broker.port, "target.tls.server_name=rabbit.example", line=0)

    error = asyncio.run(main())
    assert "the broker's certificate is not for 'rabbit.example'" in error
    assert "target.tls.server_name" in error


def test_wrong_ca(preflight: Preflight, other_certs: Certs) -> None:
    async def main() -> str:
        async with FakeBroker(ssl=preflight.certs.server_context()) as broker:
            return await preflight.error(broker.port, f"target.tls.ca={other_certs.ca}", line=0)

    assert f"is not signed by {other_certs.ca}" in asyncio.run(main())


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_broker_refuses_our_certificate(preflight: Preflight, other_certs: Certs, version: str) -> None:
    async def main() -> str:
        with alerting_server(preflight.certs.server_context(trust=other_certs.ca)) as port:
            return await preflight.error(port, f'target.tls.versions=["{version}"]', line=5)

    error = asyncio.run(main())
    assert "refuses the certificate of client 'dev0': it does not trust the CA" in error
    assert "ssl_options.cacertfile" in error


def test_broker_hangs_up_on_our_certificate(preflight: Preflight, other_certs: Certs) -> None:
    async def main() -> str:
        async with FakeBroker(ssl=preflight.certs.server_context(trust=other_certs.ca)) as broker:
            return await preflight.error(broker.port, 'target.tls.versions=["1.3"]')

    assert "one that refuses the certificate of client 'dev0'" in asyncio.run(main())


def test_no_common_tls_version(preflight: Preflight) -> None:
    async def main() -> str:
        context = preflight.certs.server_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        with alerting_server(context) as port:
            return await preflight.error(port, 'target.tls.versions=["1.2"]', line=0)

    assert "speaks none of these TLS versions" in asyncio.run(main())


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_no_common_group(preflight: Preflight, version: str) -> None:
    async def main() -> str:
        context = preflight.certs.server_context()
        context.set_ecdh_curve("secp384r1")
        with alerting_server(context) as port:
            return await preflight.error(
                port, "target.tls.group=x25519", f'target.tls.versions=["{version}"]', line=4
            )

    error = asyncio.run(main())
    assert "takes none of the cipher suites or groups that are offered" in error
    assert "leave out target.tls.ciphers and target.tls.group" in error


@pytest.mark.parametrize(
    ("code", "line", "words"),
    [
        (0x86, 5, "user 'dev0' is probably not known (run `loadgen provision small.yaml`"),
        (0x87, 5, "user 'dev0' has no permission (run `loadgen provision small.yaml`)"),
        (0x85, 8, "client identifier not valid"),
        (0x84, 3, "MQTT 5"),
        (0x97, 3, "connection limit"),
        (0x88, 3, "server unavailable"),
    ],
)
def test_broker_refuses_the_client(preflight: Preflight, code: int, line: int, words: str) -> None:
    async def main() -> str:
        async with FakeBroker(ssl=preflight.certs.server_context(), refuse=code) as broker:
            return await preflight.error(broker.port, line=line)

    error = asyncio.run(main())
    assert f"refuses client 'dev0' with 0x{code:02X}" in error
    assert words in error


def test_each_cause_is_one_line_with_its_nodes(
    preflight: Preflight, capsys: pytest.CaptureFixture[str]
) -> None:
    async def main() -> int:
        with socket.socket() as one, socket.socket() as two:
            for each in (one, two):
                each.bind(("127.0.0.1", 0))
            async with server(b"220 ready\r\n") as port:
                ports = one.getsockname()[1], two.getsockname()[1], port
                uris = ", ".join(f"mqtts://127.0.0.1:{each}" for each in ports)
                write_scenario(preflight.folder, preflight.certs, 1)
                flags = ["--set", f"target.uris=[{uris}]"]
                code = await asyncio.to_thread(call, ["run", "small.yaml", *flags])
                first, second = capsys.readouterr().err.splitlines()
                assert f"127.0.0.1:{ports[0]}, 127.0.0.1:{ports[1]}: connection refused" in first
                assert f"127.0.0.1:{port}: does not speak TLS" in second
                return code

    assert asyncio.run(main()) == 106


@pytest.mark.parametrize("clean", [True, False])
def test_a_clean_start_leaves_no_session_behind(preflight: Preflight, *, clean: bool) -> None:
    async def main() -> None:
        async with FakeBroker(ssl=preflight.certs.server_context()) as broker:
            write_scenario(preflight.folder, preflight.certs, broker.port)
            session = f"groups.publishers.session={{clean_start: {str(clean).lower()}, expiry: 1h}}"
            flags = ["--set", session, "--workers", "1", "--view", "quiet"]
            await asyncio.to_thread(call, ["run", "small.yaml", *flags])
            asked = [one.session_expiry_interval for one in broker.connects if one.client_id == "dev0"]
            assert asked == [0 if clean else 3600, 3600]

    asyncio.run(main())
