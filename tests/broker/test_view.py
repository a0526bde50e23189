from __future__ import annotations

import asyncio
from typing import Any

import pytest

from loadgen.broker.view import (
    MISMATCHES_SHOWN,
    ExpectedCertificate,
    ExpectedConnection,
    ViewResult,
    check_view,
    compare,
)


def entry(client_id: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    """As RabbitMQ 4.3 lists it."""
    return {
        "name": f"127.0.0.1:39267 -> 127.0.0.1:8883 {client_id}",
        "user": "dev1",
        "node": "rabbit1@localhost",
        "protocol": "MQTT 5-0",
        "ssl": True,
        "peer_cert_subject": "O=client,CN=dev1",
        "client_properties": {"client_id": client_id, "user_property": {"a": "2", "b": "x"}},
    } | changes


PROPERTIES = (("a", "1"), ("a", "2"), ("b", "x"))


def expected(client_id: str = "c1", **changes: Any) -> ExpectedConnection:  # noqa: ANN401
    values: dict[str, Any] = {
        "client_id": client_id,
        "user": "dev1",
        "subject": "O=client,CN=dev1",
        "user_properties": PROPERTIES,
    }
    return ExpectedConnection(**(values | changes))


def check(listed: list[dict[str, Any]], *wanted: ExpectedConnection) -> ViewResult:
    return compare(listed, {one.client_id: one for one in wanted})


def test_a_right_client_is_ok_although_the_api_collapses_repeated_names() -> None:
    result = check([entry("c1")], expected(node="rabbit1@localhost"))
    assert result == ViewResult(1, 1, [], {"rabbit1@localhost": 1}, 0)
    assert result.passed


def test_with_a_list_of_properties_order_and_repetition_count() -> None:
    def listed(pairs: list[list[str]]) -> list[dict[str, Any]]:
        return [entry("c1", client_properties={"client_id": "c1", "user_property": pairs})]

    assert check(listed([["a", "1"], ["a", "2"], ["b", "x"]]), expected()).passed
    assert not check(listed([["a", "2"], ["a", "1"], ["b", "x"]]), expected()).passed
    assert not check(listed([["a", "2"], ["b", "x"]]), expected()).passed


def test_no_properties_sent_and_none_listed() -> None:
    assert check([entry("c1", client_properties={"client_id": "c1"})], expected(user_properties=())).passed


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"user": "guest"}, "user is 'guest', not 'dev1'"),
        ({"peer_cert_subject": ""}, "peer_cert_subject is '', not 'O=client,CN=dev1'"),
        ({"ssl": False}, "ssl is False, not True"),
        ({"protocol": "MQTT 3-1-1"}, "protocol is 'MQTT 3-1-1', not 'MQTT 5-0'"),
        ({"node": "rabbit2@localhost"}, "node is 'rabbit2@localhost', not 'rabbit1@localhost'"),
        (
            {"client_properties": {"client_id": "c1", "user_property": {"a": "1", "b": "x"}}},
            "user properties is {'a': '1', 'b': 'x'}, not {'a': '2', 'b': 'x'}",
        ),
        ({"client_properties": {"client_id": "c1"}}, "user properties is {}"),
    ],
)
def test_each_difference_is_named(changes: dict[str, Any], words: str) -> None:
    result = check([entry("c1", **changes)], expected(node="rabbit1@localhost"))
    assert (result.checked, result.ok, result.passed) == (1, 0, False)
    assert len(result.mismatches) == 1
    assert result.mismatches[0].startswith("c1: ")
    assert words in result.mismatches[0]


def test_missing_and_doubled_clients() -> None:
    result = check([entry("c1"), entry("c1", node="rabbit2@localhost")], expected("c1"), expected("c2"))
    assert result.mismatches == ["c1: the broker lists it 2 times", "c2: the broker does not list it"]
    assert result.by_node == {"rabbit1@localhost": 1, "rabbit2@localhost": 1}


def test_others_on_the_broker_are_counted_and_no_mismatch() -> None:
    amqp = {"name": "x", "protocol": "AMQP 0-9-1", "client_properties": {"product": "shovel"}}
    odd = {"name": "y", "client_properties": "none of your business"}
    result = check([entry("c1"), entry("stranger"), amqp, odd, {"name": "z"}], expected())
    assert (result.ok, result.unexpected) == (1, 1)


def test_mismatches_are_bounded_and_counted() -> None:
    wanted = [expected(f"c{i}") for i in range(MISMATCHES_SHOWN + 7)]
    result = check([], *wanted)
    assert len(result.mismatches) == MISMATCHES_SHOWN + 1
    assert result.mismatches[-1] == "and 7 more"
    assert result.to_dict()["mismatches"] == result.mismatches


class Source:
    """Lists one connection more each time it is asked."""

    def __init__(self, late: int) -> None:
        self.asked = 0
        self._late = late

    async def connections(self) -> list[dict[str, Any]]:
        self.asked += 1
        return [entry("c1")] if self.asked > self._late else []


def test_it_asks_again_until_the_client_is_listed() -> None:
    source = Source(late=1)
    assert asyncio.run(check_view(source, [expected()], deadline_s=30)).passed
    assert source.asked == 2


def test_after_the_deadline_the_difference_counts() -> None:
    source = Source(late=1000)
    result = asyncio.run(check_view(source, [expected()], deadline_s=0.0))
    assert not result.passed
    assert source.asked == 1


def test_which_certificate_a_client_shows() -> None:
    begins, ends = 1_700_000_000.0, 1_700_086_400.5
    certificate = ExpectedCertificate(0x0AFF, begins, ends)
    assert certificate.difference({"peer_cert_serial_number": "AFF"}) is None
    assert certificate.difference({"peer_cert_serial_number": "0B00"}) == "the serial number is 0B00, not AFF"
    dates = "2023-11-14T22:13:20Z - 2023-11-15T22:13:20Z"
    assert certificate.difference({"peer_cert_validity": dates}) is None
    other = "2023-11-14T22:13:21Z - 2023-11-15T22:13:20Z"
    assert (
        certificate.difference({"peer_cert_validity": other})
        == f"the certificate is valid {other}, not {dates}"
    )
    assert certificate.difference({}) is None, "a broker that tells neither"
