"""What docs/rabbitmq.md says of RabbitMQ, asked of real nodes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import TYPE_CHECKING, Unpack
from urllib.parse import urlsplit

import pytest
from mqtt5 import PublishPacket, QoS

from loadgen.broker.provision import Permissions
from loadgen.identity.authority import Authority, ClientRequest
from tests.broker.raw_client import Asked, Entrance, RawClient
from tests.broker.witness import call

if TYPE_CHECKING:
    from loadgen.broker.cluster import LocalCluster
    from loadgen.identity.identity import Identity
    from tests.conftest import RabbitFactory

pytestmark = pytest.mark.rabbitmq

NARROW = Permissions()
NAMES = ("fact-one", "fact-two", "fact-stranger", "fact-no-entry", "fact-empty")


class Place:
    """A cluster with users of every kind."""

    def __init__(self, cluster: LocalCluster) -> None:
        self.cluster = cluster
        issued = Authority.ensure(cluster.certs).issue_clients([ClientRequest(name) for name in NAMES])
        self.one, self.two, self.stranger, self.no_entry, self.empty = issued
        self._entrances = []
        for uri in cluster.uris:
            place = urlsplit(uri)
            assert place.hostname
            assert place.port
            self._entrances.append(Entrance(place.hostname, place.port, cluster.ca))
        known = [who.cn for who in issued if who is not self.stranger]
        narrow = {"configure": NARROW.configure, "write": NARROW.write, "read": NARROW.read}
        nothing = dict.fromkeys(narrow, "^$")
        rights = [(self.one, narrow), (self.two, narrow), (self.empty, nothing)]
        call(
            cluster.management_uris[0],
            cluster.password_file.read_text(),
            "/api/definitions",
            {
                "users": [{"name": name, "tags": ""} for name in known],
                "permissions": [{"user": who.cn, "vhost": "/", **may} for who, may in rights],
            },
        )

    def connect(self, who: Identity, client_id: str, node: int = 0, **asked: Unpack[Asked]) -> RawClient:
        return RawClient.connect(self._entrances[node], who, client_id, **asked)


@pytest.fixture(params=["4.3", "4.0"], scope="module")
def place(request: pytest.FixtureRequest, rabbitmq_factory: RabbitFactory) -> Place:
    return Place(rabbitmq_factory(request.param))


def test_a_client_id_need_not_be_the_common_name(place: Place) -> None:
    with place.connect(place.one, "anything") as client:
        assert client.code == 0
        assert client.took < 2


def test_a_refusal_takes_three_seconds(place: Place) -> None:
    def refused(who: Identity) -> tuple[int | None, bool, str]:
        with place.connect(who, f"refused-{who.cn}") as client:
            return client.code, 2.9 < client.took < 6, client.until_end()

    with ThreadPoolExecutor() as pool:
        told = list(pool.map(refused, (place.stranger, place.no_entry)))
    assert told == [(0x86, True, "FIN"), (0x87, True, "FIN")]


def test_without_permission_a_publish_ends_the_connection_without_a_word(place: Place) -> None:
    with place.connect(place.empty, "may-not-publish") as client:
        assert client.code == 0
        assert client.publish("fact/forbidden") is None
        assert (client.ended, client.disconnect) == ("FIN", None)


def test_without_permission_a_subscription_is_refused_and_ends_the_connection(place: Place) -> None:
    with place.connect(place.empty, "may-not-subscribe") as client:
        assert client.subscribe(("fact/forbidden", 1)) == (0x87,)
        assert (client.until_end(), client.disconnect) == ("FIN", None)


def test_a_publish_that_nobody_subscribed_says_so(place: Place) -> None:
    with place.connect(place.one, "alone") as client:
        assert client.publish("fact/nobody") == 0x10


def test_qos_2_is_answered_with_a_disconnect(place: Place) -> None:
    with place.connect(place.one, "exactly-once") as client:
        # Our session refuses to send this, so it is put on the wire by hand.
        client.socket.sendall(PublishPacket("fact/2", b"x", qos=QoS.EXACTLY_ONCE, packet_id=7).write())
        assert client.until_end() == "FIN"
        assert client.disconnect == 0x9B


def test_a_shared_subscription_is_granted_and_gets_nothing(place: Place) -> None:
    with (
        place.connect(place.one, "shares", 1) as subscriber,
        place.connect(place.two, "for-shares") as publisher,
    ):
        assert subscriber.subscribe(("$share/group/fact/shared", 1)) == (1,)
        # Nobody got it: the broker itself says that no subscription matched.
        assert publisher.publish("fact/shared") == 0x10


def test_a_dot_in_a_topic_is_a_slash(place: Place) -> None:
    with place.connect(place.one, "dots", 1) as subscriber, place.connect(place.two, "for-dots") as publisher:
        subscriber.subscribe(("fact/dot/+", 1))
        assert publisher.publish_until_found("fact.dot.a") == 0
        message = subscriber.message()
        assert message is not None
        assert message.topic == "fact/dot/a"


def test_overlapping_filters_of_both_qos_deliver_twice(place: Place) -> None:
    with (
        place.connect(place.one, "overlaps", 1) as subscriber,
        place.connect(place.two, "for-both") as publisher,
    ):
        subscriber.subscribe(("fact/both/+", 0), ("fact/both/a", 1))
        publisher.publish("fact/both/a")
        arrived = [subscriber.message(), subscriber.message()]
        assert {int(message.qos) for message in arrived if message} == {0, 1}


def test_a_second_connection_of_a_client_id_ends_the_first_on_another_node(place: Place) -> None:
    with place.connect(place.one, "twin", 0) as first, place.connect(place.two, "twin", 1) as second:
        assert second.code == 0
        assert first.until_end() == "FIN"
        assert first.disconnect == 0x8E


def test_a_silent_client_is_disconnected(place: Place) -> None:
    with place.connect(place.one, "silent", keep_alive=1) as client:
        before = monotonic()
        client.until_end(20)
        assert client.disconnect == 0x8D
        # 1.5 to 2.25 times the keep-alive, and what a busy machine adds.
        assert 1.4 < monotonic() - before < 6


def test_a_kept_session_finds_its_messages_at_another_node(place: Place) -> None:
    kept = Asked(session_expiry=60, clean_start=False)
    with place.connect(place.one, "kept", 0, **kept) as client:
        client.subscribe(("fact/kept", 1))
    with place.connect(place.two, "for-kept", 1) as publisher:
        assert [publisher.publish_until_found("fact/kept", b"%d" % n) for n in range(3)] == [0, 0, 0]
    with place.connect(place.one, "kept", 1, **kept) as client:
        assert client.session_present
        arrived = [client.message() for _ in range(3)]
        assert [message.payload for message in arrived if message] == [b"0", b"1", b"2"]
    with place.connect(place.one, "kept", 1) as client:
        assert not client.session_present


def test_a_stopped_node_holds_back_kept_sessions_and_acknowledgements(place: Place) -> None:
    kept = Asked(session_expiry=60, clean_start=False)
    cluster = place.cluster
    with (
        place.connect(place.one, "homed", 2, **kept) as client,
        place.connect(place.two, "goes-on", 0) as other,
    ):
        client.subscribe(("fact/homed", 1))
        assert other.publish_until_found("fact/homed") == 0
        cluster.stop("rabbit3")
        try:
            assert client.until_end() == "FIN"
            assert client.disconnect is None
            assert other.publish("fact/homed") == 0x83
            with place.connect(place.one, "homed", 1, **kept) as elsewhere:
                assert elsewhere.code == 0x83
            with place.connect(place.one, "homed-not", 1) as elsewhere:
                assert elsewhere.code == 0
        finally:
            cluster.start("rabbit3")
    with place.connect(place.one, "homed", 1, **kept) as again:
        assert (again.code, again.session_present) == (0, True)
    with place.connect(place.one, "homed", 1):
        pass
