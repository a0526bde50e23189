from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
import struct
import threading
from typing import TYPE_CHECKING, cast

import pytest

from loadgen.engine.loop import run_on_fast_loop
from loadgen.engine.transport import Connection, cause_of
from loadgen.errors import ConfigError
from loadgen.identity.tls import IdentityContexts

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.engine.conftest import Run
    from tests.engine.rig import Rigs


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (None, "closed"),
        (ConnectionResetError(), "reset"),
        (BrokenPipeError(), "reset"),
        (ConnectionRefusedError(), "refused"),
        (TimeoutError(), "timeout"),
        (socket.gaierror(-2, "x"), "dns"),
        (OSError(errno.EMFILE, "x"), "no-descriptors"),
        (OSError(errno.EADDRNOTAVAIL, "x"), "no-ports"),
        (OSError(errno.EHOSTUNREACH, "x"), "unreachable"),
        (OSError(errno.EPERM, "x"), "os:EPERM"),
        (OSError("x"), "os:0"),
        (ssl.SSLError(1, "x"), "tls:sslerror"),
        (RuntimeError("x"), "runtimeerror"),
    ],
)
def test_causes_have_stable_words(error: BaseException | None, word: str) -> None:
    assert cause_of(error) == word


class Echo(asyncio.Protocol):
    """Sends back what it gets, and ends when told so."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if data == b"end":
            self.transport.close()
        else:
            self.transport.write(data)


class Owner:
    def __init__(self) -> None:
        self.ready = asyncio.Event()
        self.ended = asyncio.Event()
        self.causes: list[str] = []
        self.got = bytearray()
        self.more = asyncio.Event()

    def secured(self) -> None:
        self.ready.set()

    def received(self, data: bytes) -> None:
        self.got += data
        self.more.set()

    def writable_again(self) -> None:
        pass

    def lost(self, cause: str) -> None:
        self.causes.append(cause)
        self.ended.set()


def connection_of(owner: Owner, rigs: Rigs) -> Connection:
    contexts = IdentityContexts(rigs.authority.certificate)

    def make_tls(incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> ssl.SSLObject:
        context = contexts.for_identity(rigs.identities[0])
        return context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")

    return Connection(owner, make_tls)


def talk(rigs: Rigs, run: Run, conversation: Callable[[Owner, Connection], object]) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Echo, "127.0.0.1", 0, ssl=rigs.server_tls)
        owner = Owner()
        connection = connection_of(owner, rigs)
        port = server.sockets[0].getsockname()[1]
        await loop.create_connection(lambda: connection, "127.0.0.1", port)
        async with asyncio.timeout(20):
            await owner.ready.wait()
            await conversation(owner, connection)  # type: ignore[misc]
        server.close()

    run(scenario())


def test_more_than_a_record_goes_both_ways(rigs: Rigs, run: Run) -> None:
    words = bytes(range(256)) * 1000

    async def conversation(owner: Owner, connection: Connection) -> None:
        connection.send(words)
        while len(owner.got) < len(words):
            owner.more.clear()
            await owner.more.wait()
        assert owner.got == words
        assert connection.bytes_out > len(words)
        assert connection.bytes_in > len(words)
        assert connection.cipher is not None
        assert 0 < connection.tcp_at <= connection.secured_at
        connection.abort("enough")
        assert owner.causes == ["enough"]

    talk(rigs, run, conversation)


def test_records_that_come_together_are_handed_on_together(rigs: Rigs, run: Run) -> None:
    """So that a subscriber answers all of them with one write."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = rigs.server_tls.wrap_bio(to_server, to_client, server_side=True)
    contexts = IdentityContexts(rigs.authority.certificate)

    class Pieces(Owner):
        def __init__(self) -> None:
            super().__init__()
            self.pieces: list[bytes] = []

        def received(self, data: bytes) -> None:
            self.pieces.append(data)

    class Wire:
        def set_write_buffer_limits(self, high: int) -> None:
            pass

        def get_extra_info(self, name: str) -> None:
            pass

        def write(self, data: bytes) -> None:
            to_server.write(data)

        def abort(self) -> None:
            pass

    async def scenario() -> None:
        owner = Pieces()
        connection = Connection(
            owner,
            lambda incoming, outgoing: contexts.for_identity(rigs.identities[0]).wrap_bio(
                incoming, outgoing, server_hostname="127.0.0.1"
            ),
        )
        connection.connection_made(cast("asyncio.BaseTransport", Wire()))
        while not connection.secured_at:
            with contextlib.suppress(ssl.SSLWantReadError):
                server.do_handshake()
            connection.data_received(to_client.read())
        server.do_handshake()
        records = []
        for word in (b"one", b"two", b"three"):
            server.write(word)
            records.append(to_client.read())
        connection.data_received(b"".join(records[:2]))
        assert owner.pieces == [b"onetwo"]
        connection.data_received(records[2][:-1])
        assert owner.pieces == [b"onetwo"], "a part of a record is no text"
        with contextlib.suppress(ssl.SSLWantReadError):
            server.write(b"four")
            server.unwrap()
        connection.data_received(records[2][-1:] + to_client.read())
        assert owner.pieces == [b"onetwo", b"threefour"], "what came before the end counts"
        assert owner.causes == ["closed"]

    run(scenario())


def test_the_peers_end_is_told_once(rigs: Rigs, run: Run) -> None:
    async def conversation(owner: Owner, connection: Connection) -> None:
        connection.send(b"end")
        await owner.ended.wait()
        assert owner.causes == ["closed"]
        connection.abort("late")
        connection.send(b"late")
        assert not connection.finish()
        assert owner.causes == ["closed"]

    talk(rigs, run, conversation)


def test_an_orderly_end_tells_when_the_connection_is_gone_and_the_owner_nothing(rigs: Rigs, run: Run) -> None:
    async def conversation(owner: Owner, connection: Connection) -> None:
        gone = asyncio.Event()
        connection.send(b"x" * 100_000)
        assert connection.finish(gone.set)
        await gone.wait()
        assert owner.causes == []

    talk(rigs, run, conversation)


@pytest.mark.parametrize("fast", [True, False], ids=["uvloop", "asyncio"])
def test_last_words_are_read_though_a_write_failed_first(rigs: Rigs, *, fast: bool) -> None:
    """As when a broker says why and closes with a message of ours unread: a write may notice its reset."""
    speak = threading.Event()

    def serve(listening: socket.socket) -> None:
        raw, _ = listening.accept()
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        secured = rigs.server_tls.wrap_socket(raw, server_side=True)
        assert speak.wait(20)
        secured.sendall(b"last words")
        secured.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close with a reset
        secured.close()

    async def main() -> None:
        owner = Owner()
        connection = connection_of(owner, rigs)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            thread = threading.Thread(target=serve, args=(listening,))
            thread.start()
            transport, _ = await asyncio.get_running_loop().create_connection(
                lambda: connection, *listening.getsockname()
            )
            await owner.ready.wait()
            transport.pause_reading()  # so that the write is what notices
            speak.set()
            await asyncio.to_thread(thread.join)
            connection.send(b"a message")
            await owner.ended.wait()
        assert (bytes(owner.got), owner.causes) == (b"last words", ["reset"])

    (run_on_fast_loop if fast else asyncio.run)(asyncio.wait_for(main(), 20))


def test_a_certificate_that_cannot_be_loaded_is_the_cause(run: Run) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Echo, "127.0.0.1", 0)
        owner = Owner()

        def make_tls(_incoming: ssl.MemoryBIO, _outgoing: ssl.MemoryBIO) -> ssl.SSLObject:
            raise ConfigError("x.pem is no certificate")

        connection = Connection(owner, make_tls)
        await loop.create_connection(lambda: connection, *server.sockets[0].getsockname())
        assert owner.causes == ["certificate:x.pem is no certificate"]
        server.close()

    run(scenario())
