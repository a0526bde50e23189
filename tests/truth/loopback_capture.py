"""An independent witness of times: what the kernel saw on the loopback interface, and when."""

from __future__ import annotations

import socket
import struct
import threading
from time import CLOCK_REALTIME, clock_gettime_ns, monotonic_ns
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from types import TracebackType

_ANY_PROTOCOL = 0x0003
"""Only with this are packets seen on their way out."""
_OUTGOING = 4
"""Each packet on loopback passes twice; this is the first time."""
_STAMP = 35
"""SO_TIMESTAMPNS: the kernel's own time of each packet."""
_FIN, _SYN, _RST, _ACK = 0x01, 0x02, 0x04, 0x10


class Packet(NamedTuple):
    """One TCP segment that mattered."""

    ns: int
    """Monotonic, as loadgen's own times."""
    source: tuple[str, int]
    target: tuple[str, int]
    flags: int
    size: int
    """Bytes of content."""

    @property
    def syn(self) -> bool:
        """Whether a client asks for a connection."""
        return self.flags & (_SYN | _ACK) == _SYN

    @property
    def end(self) -> bool:
        """Whether its sender ends the connection, by FIN or RST."""
        return bool(self.flags & (_FIN | _RST))


class LoopbackCapture:
    """Keeps, while entered, every SYN, FIN, RST and content-bearing segment from or to a port; needs root."""

    def __init__(self, port: int) -> None:
        self.packets: list[Packet] = []
        self._port = port
        self._over = False
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ANY_PROTOCOL))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        self._socket.setsockopt(socket.SOL_SOCKET, _STAMP, 1)
        self._socket.settimeout(0.2)
        self._socket.bind(("lo", _ANY_PROTOCOL))
        self._thread = threading.Thread(target=self._read, name="capture")
        # Between the two clocks lies the same span for as long as nobody sets the machine's time.
        self._offset = clock_gettime_ns(CLOCK_REALTIME) - monotonic_ns()

    def _read(self) -> None:
        while not self._over:
            try:
                data, ancillary, _, address = self._socket.recvmsg(120, 64)
            except TimeoutError:
                continue
            if (
                address[2] == _OUTGOING
                and len(data) >= 40
                and data[0] >> 4 == 4
                and data[9] == socket.IPPROTO_TCP
            ):
                self._take(data, ancillary)

    def _take(self, data: bytes, ancillary: list[tuple[int, int, bytes]]) -> None:
        start = (data[0] & 15) * 4
        source, target = struct.unpack_from("!HH", data, start)
        if self._port not in (source, target):
            return
        flags = data[start + 13]
        size = struct.unpack_from("!H", data, 2)[0] - start - (data[start + 12] >> 4) * 4
        if size or flags & (_SYN | _FIN | _RST):
            seconds, nanoseconds = struct.unpack("qq", ancillary[0][2][:16])
            ends = (socket.inet_ntoa(data[12:16]), source), (socket.inet_ntoa(data[16:20]), target)
            self.packets.append(Packet(seconds * 10**9 + nanoseconds - self._offset, *ends, flags, size))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        self._thread.join()
        self._socket.close()

    def goodbyes(self, host: str) -> list[int]:
        """When a node ended each connection: times of its FIN or RST, in order.

        Before a FIN there may be TLS's own goodbye (close_notify); where the client took that for the end and
        sent its FIN first, the time is that of the node's last word.
        """
        node = (host, self._port)
        ended: dict[tuple[str, int], int] = {}
        last_word: dict[tuple[str, int], int] = {}
        for packet in self.packets:
            if packet.source == node:
                last_word[packet.target] = packet.ns
                if packet.end:
                    ended.setdefault(packet.target, packet.ns)
            elif packet.target == node and packet.end and packet.source in last_word:
                ended.setdefault(packet.source, last_word[packet.source])
        return sorted(ended.values())

    def connections(self) -> dict[tuple[tuple[str, int], tuple[str, int]], list[Packet]]:
        """Packets by (client, node), each beginning with its SYN; those open before are left out."""
        found: dict[tuple[tuple[str, int], tuple[str, int]], list[Packet]] = {}
        for packet in self.packets:
            ours = packet.target[1] == self._port
            key = (packet.source, packet.target) if ours else (packet.target, packet.source)
            if packet.syn:
                found[key] = []
            if key in found:
                found[key].append(packet)
        return found

    def admissions(self) -> list[tuple[str, int]]:
        """Of each new connection: the node, and when its first word after the client's CONNECT came.

        With TLS 1.3 and no session tickets, as RabbitMQ does it, the broker speaks once within the handshake
        (a flight that the client answers with its certificate), and its next word is CONNACK.
        """
        found = []
        for (client, node), packets in self.connections().items():
            contents = [packet for packet in packets if packet.size]
            # The client's hello; then, after the broker's flight, its certificate and CONNECT.
            turns = (
                index
                for index in range(1, len(contents))
                if contents[index].source == client and contents[index - 1].source != client
            )
            if (turn := next(turns, None)) is not None:
                words = [packet.ns for packet in contents[turn:] if packet.source != client]
                found += [(node[0], at) for at in words[:1]]
        return found
