"""The ledger calls everything by its name: a broker that errs to order gets exactly those classes and counts.

Every publisher has a subscriber of its own, and the broker does one thing to each pair, so that the right
answer is known pair by pair.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from loadgen.engine.loop import run_on_fast_loop
from loadgen.plan.payload import decode
from tests.fakes.tcp_broker import FakeBroker

if TYPE_CHECKING:
    from collections.abc import Callable

    from mqtt5 import PublishPacket

    from tests.truth.bench import Bench, Finished

MESSAGES = 20
"""Of each publisher."""
STAGES = [
    {"name": "connect", "connect": "100/s"},
    {"name": "steady", "hold": "1s"},
    {"name": "drain", "drain": "1s"},
]


def place(packet: PublishPacket) -> tuple[int, int]:
    """(publisher, sequence number) of a message."""
    found = decode(packet.payload)
    assert found is not None
    return found[1], found[2]


@dataclass
class Mischief:
    """Which (publisher, sequence number) the broker does what to."""

    dropped: set[tuple[int, int]] = field(default_factory=set)
    doubled: set[tuple[int, int]] = field(default_factory=set)
    held: set[tuple[int, int]] = field(default_factory=set)
    answers: dict[tuple[int, int], int | None] = field(default_factory=dict)
    """PUBACK reason codes other than success; None: no PUBACK at all."""

    def broker(self, bench: Bench, **more: Any) -> FakeBroker:  # noqa: ANN401 - FakeBroker's own
        def chosen(from_: set[tuple[int, int]]) -> Callable[[int, PublishPacket], bool]:
            return lambda _number, packet: place(packet) in from_

        return FakeBroker(
            ssl=bench.server_tls(),
            drop=chosen(self.dropped),
            duplicate=chosen(self.doubled),
            reorder=chosen(self.held),
            puback=lambda _number, packet: self.answers.get(place(packet), 0),
            **more,
        )


def groups(pairs: int, *, published: int, subscribed: int, subscribers: int | None = None) -> dict[str, Any]:
    return {
        "sensors": {
            "clients": pairs,
            "publish": {
                "topic": "ledger/{index}",
                "qos": published,
                "rate": f"{MESSAGES}/s",
                "payload": "64B",
            },
        },
        "monitors": {
            "clients": subscribers or pairs,
            "subscribe": {
                "filter": "ledger/{index}" if subscribers is None else "ledger/+",
                "qos": subscribed,
            },
        },
    }


def run(bench: Bench, broker: FakeBroker, wanted: dict[str, Any], **more: Any) -> Finished:  # noqa: ANN401
    async def main() -> Finished:
        async with broker:
            scenario = bench.scenario(f"mqtts://127.0.0.1:{broker.port}", wanted, STAGES, **more)
            finished = await bench.run(scenario)
            assert broker.errors == []
            return finished

    return run_on_fast_loop(main())


def classes(finished: Finished) -> dict[str, int]:
    """The ledger's counts that are not zero."""
    names = (
        *("ok", "duplicate", "lost", "recovered", "indeterminate", "indeterminate_qos0"),
        *("session_gap", "unsettled", "unexpected", "reordered", "not_attempted", "unaccounted"),
    )
    return {name: finished.ledger[name] for name in names if finished.ledger[name]}


def worst(finished: Finished) -> dict[int, dict[str, Any]]:
    """What went wrong, by publisher."""
    return {row["publisher"]: row for row in finished.ledger["worst"]}


ALL = range(MESSAGES)
FIRST, MIDDLE, LAST = 0, 7, MESSAGES - 1


def test_qos_1_every_deed_gets_its_class(bench: Bench) -> None:
    mischief = Mischief(
        dropped={
            *((1, seq) for seq in (FIRST, MIDDLE, LAST)),  # the last: no later message shows the gap
            *((2, seq) for seq in ALL),  # a subscriber that never hears of its publisher
            (6, 3),  # not acknowledged either: no promise broken
            *((7, seq) for seq in (2, 3)),  # refused below
        },
        doubled={(3, FIRST), (3, MIDDLE), (3, LAST)},
        held={(4, FIRST), (4, MIDDLE)},
        answers={
            (5, 4): None,
            (5, 5): None,
            (6, 3): None,
            (7, 2): 0x83,
            (7, 3): 0x97,
            (7, 6): 0x10,  # "no matching subscribers" is no promise, here it arrives all the same
            (8, LAST): 0x97,
        },
    )
    finished = run(bench, mischief.broker(bench), groups(9, published=1, subscribed=1))
    assert classes(finished) == {
        "lost": 3 + MESSAGES,
        "duplicate": 3,
        "reordered": 2,
        "recovered": 2 + 1,
        "indeterminate": 1 + 2 + 1,
        "ok": 9 * MESSAGES - 3 - MESSAGES - 3 - 3 - 4,
    }
    assert finished.ledger["settled"] is True
    rows = worst(finished)
    assert rows[1]["lost"] == 3
    assert [list(each) for each in rows[1]["missing"]] == [[0, 1], [7, 8], [LAST, MESSAGES]]
    assert rows[2]["lost"] == MESSAGES
    assert [list(each) for each in rows[2]["missing"]] == [[0, MESSAGES]]
    assert rows[3]["duplicate"] == 3
    assert rows[4]["reordered"] == 2
    assert set(rows) == {1, 2, 3, 4}
    totals = finished.result["totals"]
    unanswered, refused, unmatched = 3, 3, 1
    assert totals["published"] == 9 * MESSAGES
    assert totals["acknowledged"] == 9 * MESSAGES - unanswered - refused - unmatched
    assert totals["expected_deliveries"] == 9 * MESSAGES
    assert totals["delivered"] == 9 * MESSAGES - (3 + MESSAGES) - 4
    assert totals["received"] == totals["delivered"] + 3
    assert finished.result["codes"]["puback"] == {"0x10": 1, "0x83": 1, "0x97": 2}
    # The broker answered 0x10 after it had looked for subscribers: that is a response. A refusal is none.
    # What was never answered counts with the time it waited.
    answered = totals["acknowledged"] + unmatched
    assert finished.result["metrics"]["publish_latency"]["count"] == answered + unanswered
    assert finished.code == 99
    assert finished.result["verdict"] == "fail"
    lost = [row for row in finished.result["thresholds"] if row["metric"] == "messages_lost"]
    assert [(row["value"], row["verdict"]) for row in lost] == [(3 + MESSAGES, "fail")]


def test_lost_messages_end_the_command_with_99(bench: Bench) -> None:
    async def main() -> Finished:
        async with Mischief(dropped={(0, MIDDLE)}).broker(bench) as broker:
            wanted = groups(2, published=1, subscribed=1)
            scenario = bench.scenario(f"mqtts://127.0.0.1:{broker.port}", wanted, STAGES)
            return await bench.command(scenario)

    finished = run_on_fast_loop(main())
    assert finished.code == 99
    assert classes(finished) == {"lost": 1, "ok": 2 * MESSAGES - 1}


def test_without_loss_duplicates_and_reordering_pass(bench: Bench) -> None:
    # At least once allows a second copy; order is another promise, with a threshold of its own.
    mischief = Mischief(doubled={(0, 3), (1, LAST)}, held={(1, 5)}, answers={(0, 9): 0x97, (1, 9): None})
    mischief.dropped = {(1, 9)}
    finished = run(bench, mischief.broker(bench), groups(2, published=1, subscribed=1))
    assert classes(finished) == {
        "duplicate": 2,
        "reordered": 1,
        "indeterminate": 2,
        "ok": 2 * MESSAGES - 2 - 2,
    }
    assert finished.code == 0, finished.result["reasons"]


def test_thresholds_see_the_ledger(bench: Bench) -> None:
    mischief = Mischief(doubled={(0, 3)}, held={(1, 5)})
    wanted = {"messages_duplicated": ["count == 0"], "messages_reordered": ["count <= 1"]}
    finished = run(bench, mischief.broker(bench), groups(2, published=1, subscribed=1), thresholds=wanted)
    rows = {row["metric"]: (row["value"], row["verdict"]) for row in finished.result["thresholds"]}
    assert rows["messages_duplicated"] == (1, "fail")
    assert rows["messages_reordered"] == (1, "pass")
    assert rows["messages_lost"] == (0, "pass")
    assert finished.code == 99


@pytest.mark.parametrize(("published", "subscribed"), [(0, 0), (1, 0), (0, 1)])
def test_qos_0_promises_nothing_and_is_counted_all_the_same(
    bench: Bench, published: int, subscribed: int
) -> None:
    mischief = Mischief(
        dropped={*((1, seq) for seq in (FIRST, MIDDLE, LAST)), *((2, seq) for seq in ALL)},
        doubled={(3, FIRST), (3, LAST)},
        held={(0, MIDDLE)},
    )
    finished = run(bench, mischief.broker(bench), groups(4, published=published, subscribed=subscribed))
    missing = 3 + MESSAGES
    assert classes(finished) == {
        "indeterminate": missing,
        "indeterminate_qos0": missing,
        "duplicate": 2,
        "reordered": 1,
        "ok": 4 * MESSAGES - missing - 2,
    }
    totals = finished.result["totals"]
    assert totals["published"] == totals["expected_deliveries"] == 4 * MESSAGES
    assert totals["acknowledged"] == (4 * MESSAGES if published else 0)
    assert totals["delivered"] == 4 * MESSAGES - missing
    assert finished.code == 0, finished.result["reasons"]


def test_fan_out_counts_each_subscriber_by_itself(bench: Bench) -> None:
    seen: list[tuple[int, int]] = []

    def second_copy_of(wanted: tuple[int, int]) -> Callable[[int, PublishPacket], bool]:
        def choose(_number: int, packet: PublishPacket) -> bool:
            seen.append(place(packet))
            return place(packet) == wanted and seen.count(wanted) == 2

        return choose

    broker = FakeBroker(ssl=bench.server_tls(), drop=second_copy_of((1, MIDDLE)))
    finished = run(bench, broker, groups(2, published=1, subscribed=1, subscribers=3))
    assert classes(finished) == {"lost": 1, "ok": 2 * MESSAGES * 3 - 1}
    (row,) = finished.ledger["worst"]
    assert (row["publisher"], [list(each) for each in row["missing"]]) == (1, [[MIDDLE, MIDDLE + 1]])
    assert finished.code == 99


def test_messages_of_others_are_unexpected_and_break_nothing(bench: Bench) -> None:
    async def main() -> Finished:
        async with FakeBroker(ssl=bench.server_tls()) as broker:
            wanted = groups(2, published=1, subscribed=1)
            scenario = bench.scenario(f"mqtts://127.0.0.1:{broker.port}", wanted, STAGES)

            def once(_number: int, packet: PublishPacket) -> int:
                if place(packet) == (0, MIDDLE):
                    broker.publish("ledger/0", b"not one of ours", qos=0)
                    broker.publish("ledger/0", b"", qos=1)
                    # One of ours by its header, of another run: what an earlier run left in a queue.
                    stale = packet.payload[:8] + bytes(8) + packet.payload[16:]
                    broker.publish("ledger/1", stale, qos=1)
                return 0

            broker.puback = once
            return await bench.run(scenario)

    finished = run_on_fast_loop(main())
    assert classes(finished) == {"unexpected": 3, "ok": 2 * MESSAGES}
    assert finished.result["totals"]["received"] == 2 * MESSAGES + 3
    assert finished.result["totals"]["delivered"] == 2 * MESSAGES
    assert finished.code == 0, finished.result["reasons"]
