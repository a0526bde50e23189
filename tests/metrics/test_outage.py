from __future__ import annotations

import json
import pickle

from loadgen.metrics.outage import MOST_ATTEMPTS, Attempt, Outage, OutageBook


def outage(client: int = 0, noticed: int = 100, **more: object) -> Outage:
    made = Outage(client, f"c{client}", "g", "n1:1", "closed", 90, noticed)
    for name, value in more.items():
        setattr(made, name, value)
    return made


def test_all_attempts_are_counted_and_the_last_ones_kept() -> None:
    made = outage()
    for number in range(MOST_ATTEMPTS + 20):
        made.attempted(Attempt("n1:1", number, number + 1, "tcp", "refused"))
    made.attempted(Attempt("n2:1", 99, 100, "ready", "ready"))
    assert len(made.attempts) == MOST_ATTEMPTS
    assert made.attempts[-1].node == "n2:1"
    assert made.outcomes == {"tcp:refused": MOST_ATTEMPTS + 20, "ready:ready": 1}


def test_an_outage_travels_whole_and_does_not_follow_the_original() -> None:
    made = outage(connack=120, session_present=True, ready_node="n2:1", ended="ready", awaits_ack=True)
    made.attempted(Attempt("n1:1", 1, 2, "tls", "timeout"))
    wire = pickle.loads(pickle.dumps(made.to_wire()))
    assert Outage.from_wire(wire) == made
    told = made.to_wire()
    made.attempted(Attempt("n1:1", 3, 4, "tcp", "refused"))
    assert Outage.from_wire(told) == Outage.from_wire(wire)
    assert isinstance(Outage.from_wire(wire).attempts[0], Attempt)


def test_the_latest_word_on_an_outage_counts() -> None:
    book = OutageBook()
    book.add([outage(1, 200).to_wire(), outage(0, 100).to_wire()])
    assert book.away == 2
    book.add([outage(1, 200, ready=300, ended="ready").to_wire()])
    assert [each.noticed for each in book.outages] == [100, 200]
    assert book.outages[1].ready == 300
    assert (len(book), book.away) == (2, 1)
    book.add([outage(0, 100, ended="gave-up").to_wire()])
    assert book.away == 1, "who gave up does not come back"


def test_an_outage_is_complete_when_nothing_more_is_to_come() -> None:
    assert not outage().complete
    assert outage(ended="ready").complete
    assert not outage(ended="ready", awaits_ack=True).complete
    assert outage(ended="ready", awaits_ack=True, first_ack=5).complete
    assert not outage(ended="ready", awaits_delivery=True).complete


def test_the_event_is_json_and_says_null_where_nothing_is_known() -> None:
    made = outage(connack=120, attempt_count=2)
    made.attempted(Attempt("n1:1", 1, 2, "tcp", "refused"))
    event = json.loads(json.dumps(made.to_event()))
    assert (event["event"], event["ns"], event["connack"], event["ready"]) == ("outage", 100, 120, None)
    assert event["last_attempts"] == [
        {"node": "n1:1", "started": 1, "ended": 2, "phase": "tcp", "outcome": "refused"}
    ]
