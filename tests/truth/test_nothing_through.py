"""A broker that breaks no promise because it makes none is no pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from loadgen.engine.loop import run_on_fast_loop
from tests.fakes.tcp_broker import FakeBroker
from tests.truth.test_ledger import MESSAGES, STAGES, classes, groups, place

if TYPE_CHECKING:
    from collections.abc import Callable

    from mqtt5 import PublishPacket

    from tests.truth.bench import Bench, Finished

PAIRS = 2


def run(
    bench: Bench, qos: int, answer: Callable[[int, PublishPacket], int | None], *, drop: bool = False
) -> Finished:
    async def main() -> Finished:
        async with FakeBroker(ssl=bench.server_tls(), puback=answer, drop=lambda _n, _p: drop) as broker:
            wanted = groups(PAIRS, published=qos, subscribed=qos)
            return await bench.run(bench.scenario(f"mqtts://127.0.0.1:{broker.port}", wanted, STAGES))

    return run_on_fast_loop(main())


@pytest.mark.parametrize("code", [0x83, 0x97])
def test_a_broker_that_takes_nothing_fails_the_run(bench: Bench, code: int) -> None:
    finished = run(bench, 1, lambda _n, _p: code, drop=True)
    assert classes(finished) == {"indeterminate": PAIRS * MESSAGES}
    assert finished.result["ledger"]["lost"] == 0
    assert finished.result["reasons"] == [
        f"the broker acknowledged not one publish (PUBACK 0x{code:02X})",
        f"not one of {PAIRS * MESSAGES} expected deliveries arrived",
    ]
    assert finished.code == 99


def test_qos_0_of_which_nothing_arrives_fails_the_run(bench: Bench) -> None:
    finished = run(bench, 0, lambda _n, _p: 0, drop=True)
    assert finished.result["ledger"]["indeterminate_qos0"] == PAIRS * MESSAGES
    assert finished.result["reasons"] == [f"not one of {PAIRS * MESSAGES} expected deliveries arrived"]
    assert finished.code == 99


def test_some_that_were_refused_are_named_and_no_failure(bench: Bench) -> None:
    finished = run(bench, 1, lambda _n, packet: 0x83 if place(packet)[1] < 3 else 0)
    assert finished.code == 0, finished.result["reasons"]
    (warning,) = finished.result["warnings"]
    assert warning.startswith(f"{3 * PAIRS} publishes were not taken or found no subscriber (PUBACK 0x83 x6)")
