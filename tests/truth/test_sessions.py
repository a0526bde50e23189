"""What a broken connection costs: the broker owes a kept session every message, and an ended one none.

`session/+` has two subscribers, so that the broker acknowledges every message whoever is away: the keeper
stays to the end, the visitor is cut off in the middle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loadgen.engine.loop import run_on_fast_loop
from tests.fakes.tcp_broker import FakeBroker
from tests.truth.test_ledger import classes, place

if TYPE_CHECKING:
    from collections.abc import Callable

    from mqtt5 import PublishPacket

    from tests.truth.bench import Bench, Finished

RATE, PUBLISHERS = 25, 2
TOTAL = RATE * PUBLISHERS * 2
ON_THE_WIRE = 20
"""Most messages that may be under way when a connection is cut; a few on a quiet machine."""
"""Messages published in a hold of 2 s."""
CUT_AT = (0, 15)
"""The (publisher, sequence number) at whose PUBLISH the connection is cut."""
KEPT = {"clean_start": False, "expiry": "1h"}
STAGES = [
    {"name": "connect", "connect": "100/s"},
    {"name": "steady", "hold": "2s"},
    {"name": "drain", "drain": "1s"},
]


def groups(visitor: dict[str, Any], publisher: dict[str, Any] | None = None) -> dict[str, Any]:
    subscribe = {"filter": "session/+", "qos": 1}
    return {
        "sensors": {
            "clients": PUBLISHERS,
            "publish": {"topic": "session/{index}", "qos": 1, "rate": f"{RATE}/s", "payload": "64B"},
            **(publisher or {}),
        },
        "keeper": {"clients": 1, "subscribe": subscribe},
        "visitor": {
            "clients": 1,
            "subscribe": subscribe,
            "reconnect": {"backoff": "400ms..500ms"},
            **visitor,
        },
    }


def cut(broker: FakeBroker, client_id: str) -> None:
    """Break a client's connection without a DISCONNECT."""
    for connection in tuple(broker.connections):
        if connection.session is not None and connection.session.client_id == client_id:
            connection.end(None)


def run(
    bench: Bench, at_cut: Callable[[FakeBroker], int | None], wanted: dict[str, Any]
) -> tuple[Finished, list[tuple[int, int]]]:
    """Do something at one PUBLISH, which gives its PUBACK code; also gives what no visitor was there for."""
    missed: list[tuple[int, int]] = []
    done = False

    async def main() -> Finished:
        async with FakeBroker(ssl=bench.server_tls()) as broker:

            def once(_number: int, packet: PublishPacket) -> int | None:
                nonlocal done
                answer: int | None = 0
                if place(packet) == CUT_AT and not done:
                    done = True
                    answer = at_cut(broker)
                session = broker.sessions.get("visitor-0")
                if session is None or not session.subscriptions:
                    missed.append(place(packet))
                return answer

            broker.puback = once
            scenario = bench.scenario(f"mqtts://127.0.0.1:{broker.port}", wanted, STAGES)
            finished = await bench.run(scenario)
            assert broker.errors == []
            return finished

    return run_on_fast_loop(main()), missed


def cut_visitor(broker: FakeBroker) -> int:
    cut(broker, "visitor-0")
    return 0


def test_what_a_session_without_expiry_misses_is_a_gap_and_no_loss(bench: Bench) -> None:
    finished, missed = run(bench, cut_visitor, groups({}))
    gap = finished.ledger["session_gap"]
    assert classes(finished) == {"session_gap": gap, "indeterminate": gap, "ok": 2 * TOTAL - gap}
    # 400 to 500 ms away at 50 messages a second, and at most a few that were on the wire when it was cut.
    assert 15 <= len(missed) <= gap <= len(missed) + ON_THE_WIRE
    assert finished.code == 0, finished.result["reasons"]
    assert sum(finished.result["codes"]["disconnect"].values()) == 1


def test_a_kept_session_misses_nothing(bench: Bench) -> None:
    finished, missed = run(bench, cut_visitor, groups({"session": KEPT}))
    assert missed == []
    # A second copy is fine: what was on the wire when the connection broke is sent again.
    duplicate = finished.ledger["duplicate"]
    assert duplicate <= ON_THE_WIRE
    assert finished.ledger["ok"] == 2 * TOTAL - duplicate
    assert finished.ledger["lost"] == finished.ledger["indeterminate"] == 0
    assert finished.result["totals"]["delivered"] == 2 * TOTAL
    assert finished.result["metrics"]["reconnect_time"]["count"] == 1
    assert finished.code == 0, finished.result["reasons"]


def forget_visitor(broker: FakeBroker) -> int:
    cut(broker, "visitor-0")
    broker.sessions["visitor-0"].expiry = 0
    return 0


def test_a_session_that_the_broker_had_to_keep_and_lost_is_loss(bench: Bench) -> None:
    finished, missed = run(bench, forget_visitor, groups({"session": KEPT}))
    lost = finished.ledger["lost"]
    assert classes(finished) == {"lost": lost, "ok": 2 * TOTAL - lost}
    assert 15 <= len(missed) <= lost <= len(missed) + ON_THE_WIRE
    assert finished.code == 99


def test_a_session_that_had_expired_is_a_gap(bench: Bench) -> None:
    visitor = {
        "session": {"clean_start": False, "expiry": "1s"},
        "reconnect": {"backoff": "1200ms..1250ms"},
    }
    finished, missed = run(bench, forget_visitor, groups(visitor))
    gap = finished.ledger["session_gap"]
    assert classes(finished) == {"session_gap": gap, "indeterminate": gap, "ok": 2 * TOTAL - gap}
    assert len(missed) <= gap <= len(missed) + ON_THE_WIRE
    assert finished.code == 0, finished.result["reasons"]


def test_a_visitor_that_never_comes_back_missed_a_gap(bench: Bench) -> None:
    finished, missed = run(bench, cut_visitor, groups({"reconnect": {"enabled": False}}))
    gap = finished.ledger["session_gap"]
    assert classes(finished) == {"session_gap": gap, "indeterminate": gap, "ok": 2 * TOTAL - gap}
    assert TOTAL // 2 < len(missed) <= gap <= len(missed) + ON_THE_WIRE
    # Nothing is lost; that a client stayed away is the failure.
    assert (finished.code, finished.result["reasons"]) == (99, ["1 client did not come back"])


def test_a_session_cut_before_it_had_its_subscriptions_gets_them_on_the_next_connection(bench: Bench) -> None:
    """A session is present that never took the SUBSCRIBE: to call it ready would make all the rest LOST."""
    cuts = 0

    def forget_and_cut_again(broker: FakeBroker) -> int:
        def refuse_once(_filter: str) -> int | None:
            nonlocal cuts
            broker.suback = None
            cuts += 1
            cut(broker, "visitor-0")
            return 0x80

        broker.suback = refuse_once
        return forget_visitor(broker)

    visitor = {"session": {"clean_start": False, "expiry": "1h"}, "reconnect": {"backoff": "200ms..250ms"}}
    finished, missed = run(bench, forget_and_cut_again, groups(visitor))
    assert cuts == 1
    lost = finished.ledger["lost"]
    assert classes(finished) == {"lost": lost, "ok": 2 * TOTAL - lost}
    assert len(missed) <= lost <= len(missed) + ON_THE_WIRE
    assert lost < TOTAL // 2


def cut_publisher(broker: FakeBroker) -> None:
    """Take the message, and break the connection before the PUBACK."""
    cut(broker, "sensors-0")


def test_a_publisher_with_a_kept_session_sends_the_unacknowledged_again(bench: Bench) -> None:
    publisher = {"session": KEPT, "reconnect": {"backoff": "200ms..250ms"}}
    finished, _ = run(bench, cut_publisher, groups({}, publisher))
    # Both subscribers had the message, and the copy that the publisher had to send gets acknowledged.
    assert classes(finished) == {"duplicate": 2, "ok": 2 * TOTAL - 2}
    assert finished.result["totals"]["published"] == TOTAL
    assert finished.result["totals"]["acknowledged"] == TOTAL
    # What fell due while it was away was sent late, and nothing was dropped.
    assert finished.result["generator"]["late"] >= 4
    assert finished.result["generator"]["dropped"] == 0
    assert finished.code == 0, finished.result["reasons"]


def test_a_publisher_whose_session_ended_has_an_open_message_and_loses_none(bench: Bench) -> None:
    finished, _ = run(bench, cut_publisher, groups({}, {"reconnect": {"backoff": "200ms..250ms"}}))
    assert classes(finished) == {"recovered": 2, "ok": 2 * TOTAL - 2}
    assert finished.result["totals"]["published"] == TOTAL
    assert finished.result["totals"]["acknowledged"] == TOTAL - 1
    assert finished.code == 0, finished.result["reasons"]
