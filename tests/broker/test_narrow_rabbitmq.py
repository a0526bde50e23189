"""The narrowest permissions against a real node: what clients do works, anything else is refused."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from mqtt5 import Will

from loadgen.broker.management import Management
from loadgen.broker.provision import Grant, Permissions, provision_grants, remove_provisioned
from loadgen.broker.rights import Use, pattern
from loadgen.identity.authority import Authority, ClientRequest
from tests.broker.raw_client import Entrance, RawClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from loadgen.identity.identity import Identity
    from tests.conftest import RabbitFactory

    Connect = Callable[..., RawClient]

pytestmark = pytest.mark.rabbitmq

READER, WRITER = "narrow-reader", "narrow-writer"


def grants() -> list[Grant]:
    reads = Use(subscribers={READER}, read={pattern("narrow/+/x", READER, READER)})
    writes = Use(
        publishes=True, delayed_wills={"w-0"}, written={pattern(f"narrow/{WRITER}/x", "w-0", WRITER)}
    )
    return [
        Grant(user, "/", use.permissions(), use.topic_permissions())
        for user, use in ((READER, reads), (WRITER, writes))
    ]


@pytest.fixture(params=["4.3", "4.0"], scope="module")
def connect(request: pytest.FixtureRequest, rabbitmq_factory: RabbitFactory) -> Iterator[Connect]:
    cluster = rabbitmq_factory(request.param)
    node = cluster.status()[0]
    issued = Authority.ensure(cluster.certs).issue_clients([ClientRequest(READER), ClientRequest(WRITER)])
    who: dict[str, Identity] = {each.cn: each for each in issued}
    settings = yaml.safe_load(cluster.target_file.read_text())["management"]
    password = Path(settings["password"]["file"]).read_text(encoding="utf-8").strip()

    async def call(*, remove: bool) -> None:
        async with Management(settings["uris"], settings["username"], password) as management:
            if remove:
                assert sorted(await remove_provisioned(management, who)) == [READER, WRITER]
                return
            assert (await provision_grants(management, grants())).created == 2
            assert (await provision_grants(management, grants())).unchanged == 2
            # Topic permissions go when a later call asks for none, and come again.
            bare = [Grant(READER, "/", Permissions())]
            assert (await provision_grants(management, bare)).updated == 1
            assert (await provision_grants(management, bare)).unchanged == 1
            assert (await provision_grants(management, grants())).updated == 1

    def to_node(user: str, client_id: str, **asked: object) -> RawClient:
        entrance = Entrance(node.address, node.mqtt_port, cluster.ca)
        return RawClient.connect(entrance, who[user], client_id, **asked)  # type: ignore[arg-type]

    asyncio.run(call(remove=False))
    yield to_node
    asyncio.run(call(remove=True))


def test_what_the_clients_do_works(connect: Connect) -> None:
    topic = f"narrow/{WRITER}/x"
    with connect(READER, READER, session_expiry=60) as reader:
        assert reader.subscribe(("narrow/+/x", 1)) == (1,)
    gone = Will(topic=topic, payload=b"gone", will_delay_interval=1)
    with connect(WRITER, "w-0", session_expiry=5, will=gone) as writer:
        assert writer.publish(topic, b"while away") == 0
        writer.drop()
    with connect(READER, READER, session_expiry=60, clean_start=False) as reader:
        assert reader.session_present
        assert [message.payload for message in (reader.message(), reader.message()) if message] == [
            b"while away",
            b"gone",
        ]
    with connect(READER, READER, clean_start=True) as reader:  # discards the old session's queue
        assert (reader.code, reader.subscribe(("narrow/+/x", 0))) == (0, (0,))


def test_a_publish_outside_them_ends_the_connection(connect: Connect) -> None:
    for user, topic in ((READER, "narrow/a/x"), (WRITER, "narrow/other/x"), (WRITER, "elsewhere")):
        with connect(user, f"{user}-1") as client:
            assert client.publish(topic) is None
            assert client.ended == "FIN"


def test_a_subscription_outside_them_is_refused(connect: Connect) -> None:
    for user, client_id, topic_filter in (
        (READER, READER, "narrow/#"),
        (READER, "someone-else", "narrow/+/x"),  # the queue of another client id
        (WRITER, "w-0", f"narrow/{WRITER}/x"),
    ):
        with connect(user, client_id) as client:
            assert client.subscribe((topic_filter, 1)) == (0x87,)
            assert client.until_end() == "FIN"
