"""What a broker never answers is counted, and a run that could not send its load says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadgen.engine.loop import run_on_fast_loop
from tests.fakes.tcp_broker import FakeBroker
from tests.truth.test_ledger import MESSAGES, STAGES, classes, groups, place

if TYPE_CHECKING:
    from mqtt5 import PublishPacket

    from tests.truth.bench import Bench, Finished

CLIENTS = 3


def test_messages_still_held_back_at_the_end_count_as_dropped(bench: Bench) -> None:
    """The receive maximum is 1, and one client's first message is never answered: the rest stays behind."""

    def answer(_number: int, packet: PublishPacket) -> int | None:
        return None if place(packet)[0] == 1 else 0

    async def main() -> Finished:
        broker = FakeBroker(ssl=bench.server_tls(), connack={"receive_max": 1}, puback=answer)
        async with broker:
            wanted = groups(CLIENTS, published=1, subscribed=1)
            return await bench.run(bench.scenario(f"mqtts://127.0.0.1:{broker.port}", wanted, STAGES))

    finished = run_on_fast_loop(main())
    never_sent = MESSAGES - 1
    totals = finished.result["totals"]
    assert totals["published"] == CLIENTS * MESSAGES - never_sent
    assert finished.result["generator"]["dropped"] == never_sent
    assert classes(finished) == {
        "recovered": 1,
        "ok": (CLIENTS - 1) * MESSAGES,
        "not_attempted": never_sent,
    }
    assert finished.code == 98
    assert f"{never_sent} messages were due and never sent" in " ".join(finished.result["reasons"])


def test_messages_of_a_client_that_never_got_in_are_the_failure_of_its_connection(bench: Bench) -> None:
    """The broker's refusal fails the run; it does not make the generator look overloaded."""

    async def main() -> Finished:
        refused = {"sensors-1": 0x87}
        broker = FakeBroker(
            ssl=bench.server_tls(), refuse=lambda _number, connect: refused.get(connect.client_id, 0)
        )
        async with broker:
            wanted = groups(CLIENTS, published=1, subscribed=1)
            return await bench.run(bench.scenario(f"mqtts://127.0.0.1:{broker.port}", wanted, STAGES))

    finished = run_on_fast_loop(main())
    assert classes(finished) == {"ok": (CLIENTS - 1) * MESSAGES, "not_attempted": MESSAGES}
    assert finished.result["totals"]["connected"] == 2 * CLIENTS - 1
    (reason,) = finished.result["reasons"]
    assert reason.startswith(f"1 of {2 * CLIENTS} clients were never connected")
    assert finished.code == 99


def test_unanswered_messages_count_with_the_time_they_waited(bench: Bench) -> None:
    def answer(_number: int, packet: PublishPacket) -> int | None:
        return 0 if place(packet)[1] < MESSAGES - 5 else None

    async def main() -> Finished:
        async with FakeBroker(ssl=bench.server_tls(), puback=answer) as broker:
            wanted = groups(CLIENTS, published=1, subscribed=1)
            return await bench.run(bench.scenario(f"mqtts://127.0.0.1:{broker.port}", wanted, STAGES))

    finished = run_on_fast_loop(main())
    unanswered = CLIENTS * 5
    assert classes(finished) == {"recovered": unanswered, "ok": CLIENTS * MESSAGES - unanswered}
    latency = finished.result["metrics"]["publish_latency"]
    assert latency["count"] == CLIENTS * MESSAGES
    # They waited through the whole drain stage, which ended by its time.
    assert latency["max"] > 1.0
    (warning,) = finished.result["warnings"]
    assert warning.startswith(f"{unanswered} messages sent at QoS 1 were never answered")
