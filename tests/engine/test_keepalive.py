from __future__ import annotations

from typing import Any

from loadgen.engine.keepalive import KeepAliveWheel
from tests.engine.clockwork import Clockwork


class Watched:
    def __init__(self, keep_alive: int) -> None:
        self.keep_alive = keep_alive
        self.checks: list[int] = []

    def check_alive(self, now: int) -> None:
        self.checks.append(now)


def test_each_client_is_checked_once_a_second_and_hasty_ones_twice() -> None:
    clock: Any = Clockwork()
    wheel = KeepAliveWheel(clock)
    clients: list[Any] = [Watched(60) for _ in range(25)]
    hasty: list[Any] = [Watched(seconds) for seconds in (1, 2, 3)]
    for client in [*clients, *hasty]:
        wheel.add(client)
    wheel.start()
    clock.advance(3_000_000_000)
    assert {len(client.checks) for client in clients} == {3}
    assert {len(client.checks) for client in hasty} == {6}
    wheel.stop()
    clock.advance(3_000_000_000)
    assert {len(client.checks) for client in clients} == {3}


def test_a_fleet_is_checked_in_ten_portions() -> None:
    clock: Any = Clockwork()
    wheel = KeepAliveWheel(clock)
    clients: list[Any] = [Watched(60) for _ in range(100)]
    for client in clients:
        wheel.add(client)
    wheel.start()
    clock.advance(100_000_000)
    assert sum(len(client.checks) for client in clients) == 10
