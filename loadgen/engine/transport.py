"""TCP and TLS of one connection: an event-loop transport below, an in-memory TLS engine above.

TLS runs over memory buffers instead of the event loop's own TLS layer: one shared context serves every client
(each with its own certificate), an idle connection costs a fraction of the memory, and TCP, TLS and MQTT can
be timed apart.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import ssl
from time import monotonic_ns
from typing import TYPE_CHECKING, Protocol, cast

from loadgen.errors import LoadgenError

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadgen.engine.turns import Turns

_READ_SIZE = 16_384  # one TLS record's worth of plain text [RFC 8446 5.1]
_PAUSE_ABOVE = 262_144  # bytes the kernel did not take yet before the owner is told to hold back
_PIECE = 256  # bytes of a handshake that are put into the buffer at once
_LINGER = 2.0  # s a peer gets to close its side after we closed ours


class ConnectionOwner(Protocol):
    """What a connection tells the client it belongs to."""

    def secured(self) -> None:
        """TLS is up: bytes can be sent."""

    def received(self, data: bytes) -> None:
        """Plain text arrived."""

    def writable_again(self) -> None:
        """The kernel's send buffer has room again."""

    def lost(self, cause: str) -> None:
        """The connection is gone; called exactly once. `cause` is one of the words of `cause_of`."""


class Connection(asyncio.Protocol):
    """One TCP connection with TLS over it."""

    __slots__ = (
        "_closed",
        "_gone",
        "_incoming",
        "_make_tls",
        "_outgoing",
        "_owner",
        "_tls",
        "_transport",
        "_turns",
        "_unread",
        "_waits",
        "bytes_in",
        "bytes_out",
        "secured_at",
        "tcp_at",
        "writable",
    )

    def __init__(
        self,
        owner: ConnectionOwner,
        make_tls: Callable[[ssl.MemoryBIO, ssl.MemoryBIO], ssl.SSLObject],
        turns: Turns | None = None,
    ) -> None:
        """Belong to `owner`.

        Args:
            owner: who is told what happens.
            make_tls: wraps the two buffers with the owner's certificate.
            turns: where steps of the handshake wait for their turn; None: they are taken at once.
        """
        self._owner: ConnectionOwner | None = owner
        self._make_tls = make_tls
        self._transport: asyncio.Transport | None = None
        self._tls: ssl.SSLObject | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._unread = b""
        """Of the handshake: came, and waits for its turn."""
        self._turns = turns
        self._waits = False
        """Whether a step of the handshake waits for its turn."""
        self._closed = ""
        self._gone: Callable[[], None] | None = None
        self.tcp_at = 0
        """When TCP was established, monotonic ns; 0 until then."""
        self.secured_at = 0
        """When the TLS handshake was done on our side, monotonic ns; 0 until then."""
        self.writable = True
        """False while the kernel's send buffer is full."""
        self.bytes_in = 0
        self.bytes_out = 0

    # -- from the event loop ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TCP is up: start TLS."""
        # uvloop's transports are no subclasses of asyncio's.
        tcp = cast("asyncio.Transport", transport)
        if self._owner is None:
            tcp.abort()
            return
        self.tcp_at = monotonic_ns()
        self._transport = tcp
        tcp.set_write_buffer_limits(high=_PAUSE_ABOVE)
        raw = tcp.get_extra_info("socket")
        if raw is not None:
            # Finished + CONNECT would else meet the peer's delayed acknowledgement: 40 ms a connect.
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._step()

    def data_received(self, data: bytes) -> None:
        """Cipher text arrived."""
        if self._owner is None:
            return
        self.bytes_in += len(data)
        if self.secured_at:
            self._incoming.write(data)
            self._look()
        else:
            self._unread += data
            self._step()

    def eof_received(self) -> None:
        """The peer sent FIN: let the transport close."""
        self._closed = self._closed or "closed"

    def connection_lost(self, exc: Exception | None) -> None:
        """TCP is gone."""
        if exc is not None:
            self._read_the_rest()
        self.take_turn()  # what came before may say why
        self._fail(self._closed or cause_of(exc))
        self._tell_gone()

    def _read_the_rest(self) -> None:
        """Take what the kernel has received and nobody read yet.

        A write that fails ends the transport at once, though the peer's last words wait to be read: a
        DISCONNECT that says why, acknowledgements, messages. Linux gives them also after a reset.
        """
        raw = None if self._transport is None else self._transport.get_extra_info("socket")
        if raw is None or raw.fileno() < 0:
            return
        while True:
            try:
                data = os.read(raw.fileno(), _READ_SIZE)
            except OSError:  # nothing is there, or the reset itself comes next
                return
            if not data:
                return
            self.data_received(data)

    def pause_writing(self) -> None:
        """The kernel's send buffer is full."""
        self.writable = False

    def resume_writing(self) -> None:
        """The kernel took what was waiting."""
        self.writable = True
        if self._owner is not None:
            self._owner.writable_again()

    # -- from the client -------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Encrypt and send."""
        tls = self._tls
        if tls is None or self._transport is None:
            return
        try:
            sent = tls.write(data)
            # With partial writes on (CPython's default) each call takes one record's worth.
            while sent < len(data):
                sent += tls.write(memoryview(data)[sent:])
        except ssl.SSLError as error:
            self._fail(cause_of(error))
            return
        cipher = self._outgoing.read()
        self.bytes_out += len(cipher)
        self._transport.write(cipher)

    def close(self) -> None:
        """Send what is waiting, then close; the owner hears nothing more."""
        self._owner = None
        if self._transport is not None:
            self._transport.close()

    def finish(self, gone: Callable[[], None] | None = None) -> bool:
        """Send what is waiting and our end of the stream, and read on until the peer has closed its side too.

        To close with data unread would be a reset, which can overtake our last words and destroy them at the
        peer [RFC 1122 4.2.2.13]. The owner hears nothing more.

        Returns:
            Whether there is a connection to end; `gone` is called when it is gone, after 2 s at the latest.
        """
        self._owner = None
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        self._gone = gone
        if self._tls is not None and self.secured_at:
            with contextlib.suppress(ssl.SSLError):  # close_notify is written, and the peer's has not come
                self._tls.unwrap()
            self._flush()
        with contextlib.suppress(OSError):
            transport.write_eof()
        asyncio.get_running_loop().call_later(_LINGER, self._linger_over)
        return True

    def _linger_over(self) -> None:
        if self._transport is not None:
            self._transport.abort()
        self._tell_gone()

    def _tell_gone(self) -> None:
        gone, self._gone = self._gone, None
        if gone is not None:
            gone()

    def abort(self, cause: str) -> None:
        """Drop the connection at once and tell the owner why."""
        self._fail(cause)

    @property
    def cipher(self) -> tuple[str, str] | None:
        """(TLS version, cipher) once secured."""
        if self._tls is None or not self.secured_at:
            return None
        chosen = self._tls.cipher()
        return (self._tls.version() or "", chosen[0] if chosen else "")

    # -- inside ----------------------------------------------------------------------------------

    def _step(self) -> None:
        """Take the next step of the handshake, when it is its turn."""
        if self._waits:
            return
        self._waits = True
        if self._turns is None:
            self.take_turn()
        else:
            self._turns.wait(self)

    def take_turn(self) -> None:
        """Take the step that waits, if one does."""
        if not self._waits:
            return
        self._waits = False
        if self._owner is None or self._transport is None:
            return
        if self._tls is None:
            try:
                self._tls = self._make_tls(self._incoming, self._outgoing)
            except (LoadgenError, ssl.SSLError, OSError) as error:
                self._fail(f"certificate:{error}")
                return
        if self._handshake(self._tls) and self._incoming.pending:
            self._look()

    def _handshake(self, tls: ssl.SSLObject) -> bool:
        try:
            self._shake(tls)
        except ssl.SSLWantReadError:
            self._flush()
            return False
        except (ssl.SSLError, ssl.CertificateError) as error:
            self._flush()
            self._fail(cause_of(error))
            return False
        self._flush()
        self.secured_at = monotonic_ns()
        if self._owner is not None:
            self._owner.secured()
        return True

    def _shake(self, tls: ssl.SSLObject) -> None:
        """Hand over what came of the handshake, bit by bit, and go on with it.

        The buffer never shrinks: a broker's certificates at one go would cost each connection 1 to 2 KB for
        good.

        Raises:
            ssl.SSLError: as `do_handshake()`; `SSLWantReadError` only when all of it was handed over.
        """
        unread, self._unread = self._unread, b""
        at = 0
        while True:
            self._incoming.write(unread[at : at + _PIECE])
            at += _PIECE
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                if at >= len(unread):
                    raise
            else:
                self._incoming.write(unread[at:])
                return

    def _look(self) -> None:
        """Decrypt what came, hand it on, and answer."""
        tls, owner = self._tls, self._owner
        if tls is None or owner is None:
            return
        plain, cause = _read(tls, self._incoming)
        if plain:
            owner.received(plain)
        # TLS 1.3 may answer a KeyUpdate here; session tickets need no answer.
        if self._outgoing.pending:
            self._flush()
        if cause and self._owner is not None:
            self._fail(cause)

    def _flush(self) -> None:
        if self._outgoing.pending and self._transport is not None:
            cipher = self._outgoing.read()
            self.bytes_out += len(cipher)
            self._transport.write(cipher)

    def _fail(self, cause: str) -> None:
        owner, self._owner = self._owner, None
        if self._transport is not None:
            # abort() drops what the transport still holds, and a TLS alert that we owe the peer may be there.
            if cause.startswith("tls:") and not self._transport.is_closing():
                self._transport.close()
            else:
                self._transport.abort()
            self._transport = None
        self._tls = None
        if owner is not None:
            owner.lost(cause)


def _read(tls: ssl.SSLObject, incoming: ssl.MemoryBIO) -> tuple[bytes, str]:
    """Decrypt all that came: several records in one piece get one look, and one answer.

    Returns:
        The plain text, and why nothing more will come; "" when more may.
    """
    records: list[bytes] = []
    try:
        while plain := tls.read(_READ_SIZE):
            if not incoming.pending and not tls.pending():
                return (b"".join((*records, plain)) if records else plain), ""
            records.append(plain)
    except ssl.SSLWantReadError:
        return b"".join(records), ""
    except ssl.SSLError as error:
        return b"".join(records), cause_of(error)
    return b"".join(records), "closed"  # close_notify


def cause_of(error: BaseException | None) -> str:
    """A short, stable word for why a connection ended or could not be made.

    `closed` (FIN) · `reset` (RST) · `refused` · `timeout` · `unreachable` · `no-descriptors` · `no-ports` ·
    `dns` · `tls:<reason>` (OpenSSL's reason in lower case, such as `tls:tlsv1_alert_unknown_ca`) ·
    `os:<errno name>`.
    """
    if error is None:
        return "closed"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"tls:certificate_verify_failed:{error.verify_message}"
    if isinstance(error, ssl.SSLError):
        reason: str | None = getattr(error, "reason", None)  # errors that Python itself raises have none
        return f"tls:{(reason or type(error).__name__).lower()}"
    for kind, word in _KINDS:
        if isinstance(error, kind):
            return word
    if isinstance(error, OSError):
        number = error.errno or 0
        return _OS_WORDS.get(number, f"os:{errno.errorcode.get(number, number)}")
    return type(error).__name__.lower()


_KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (TimeoutError, "timeout"),
    (socket.gaierror, "dns"),
    (ConnectionRefusedError, "refused"),
    (ConnectionResetError, "reset"),
    (BrokenPipeError, "reset"),
)
_OS_WORDS = {
    errno.EMFILE: "no-descriptors",
    errno.ENFILE: "no-descriptors",
    errno.EADDRNOTAVAIL: "no-ports",
    errno.ENETUNREACH: "unreachable",
    errno.EHOSTUNREACH: "unreachable",
}
