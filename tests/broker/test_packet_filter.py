"""Links cut by the real packet filter, between sockets on loopback."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

import pytest

from loadgen.broker.packet_filter import Link, PacketFilter, why_no_packet_filter
from loadgen.errors import BrokerError
from tests.unavailable import unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CALLER, OTHER = "127.0.101.1", "127.0.101.2"


@pytest.fixture
def table(tmp_path: Path) -> Iterator[PacketFilter]:
    if reason := why_no_packet_filter():
        unavailable(reason)
    packets = PacketFilter.of_cluster(tmp_path)
    yield packets
    packets.clear()


def call(source: str, port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=0.3, source_address=(source, 0))


def test_only_what_goes_over_the_link_is_lost_and_it_arrives_once_joined(table: PacketFilter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, contextlib.ExitStack() as stack:
        port = server.getsockname()[1]
        open_one, open_other = stack.enter_context(call(CALLER, port)), stack.enter_context(call(OTHER, port))
        ends = [stack.enter_context(server.accept()[0]) for _ in range(2)]
        for end in ends:
            end.settimeout(0.3)
        table.cut([Link(CALLER, port)])
        assert table.present()
        open_one.sendall(b"lost on the way")
        open_other.sendall(b"through")
        assert ends[1].recv(100) == b"through"
        with pytest.raises(TimeoutError):
            ends[0].recv(100)
        ends[0].sendall(b"answer")
        open_one.settimeout(0.3)
        with pytest.raises(TimeoutError):
            open_one.recv(100)
        with pytest.raises(TimeoutError):
            call(CALLER, port)
        call(OTHER, port).close()
        table.clear()
        assert not table.present()
        ends[0].settimeout(10)
        open_one.settimeout(10)
        assert ends[0].recv(100) == b"lost on the way"  # TCP sent it again
        assert open_one.recv(100) == b"answer"


def test_a_new_cut_takes_the_place_of_the_old_one(table: PacketFilter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        table.cut([Link(CALLER, port)])
        table.cut([Link(OTHER, port)])
        call(CALLER, port).close()
        with pytest.raises(TimeoutError):
            call(OTHER, port)


def test_clearing_what_is_not_there_is_no_error(table: PacketFilter) -> None:
    table.clear()
    table.clear()


def test_a_refusal_is_told_in_its_words(table: PacketFilter) -> None:
    with pytest.raises(BrokerError, match="the packet filter refused"):
        PacketFilter("not a name").cut([Link(CALLER, 1)])


def test_without_root_or_nft_the_reason_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "needs root" in why_no_packet_filter()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "program nft" in why_no_packet_filter()
    assert not PacketFilter("anything").present()
