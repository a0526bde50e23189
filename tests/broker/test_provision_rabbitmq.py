"""Provisioning and the broker's view against real RabbitMQ nodes."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiomqtt
import pytest
import yaml
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from loadgen.broker.management import Management
from loadgen.broker.provision import missing_users, provision, remove_provisioned
from loadgen.broker.view import ExpectedConnection, check_view
from loadgen.identity.authority import Authority, ClientRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadgen.broker.cluster import LocalCluster, NodeStatus
    from loadgen.identity.identity import Identity

pytestmark = pytest.mark.rabbitmq

SENT = (("client_type", "APM"), ("tag", "first"), ("tag", "second"))


class Site:
    """A cluster with the identities of this module provisioned in it."""

    def __init__(self, cluster: LocalCluster) -> None:
        self.nodes: list[NodeStatus] = cluster.status()
        settings = yaml.safe_load((cluster.directory / "target.yaml").read_text())["management"]
        self._management = (
            settings["uris"],
            settings["username"],
            Path(settings["password"]["file"]).read_text(encoding="utf-8").strip(),
        )
        authority = Authority.ensure(cluster.certs)
        requests = [ClientRequest(f"site{index}") for index in range(4)]
        *self.identities, self.stranger = authority.issue_clients(requests)
        self._ca = authority.certificate

    def management(self) -> Management:
        return Management(*self._management)

    def client(self, identity: Identity, client_id: str, node: int = 0, **options: Any) -> aiomqtt.Client:  # noqa: ANN401
        tls = ssl.create_default_context(cafile=str(self._ca))
        tls.load_cert_chain(identity.certificate, identity.key)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.UserProperty = list(SENT)
        if options.pop("keep", False):
            properties.SessionExpiryInterval = 60
        return aiomqtt.Client(
            self.nodes[node].address,
            self.nodes[node].mqtt_port,
            tls_context=tls,
            protocol=aiomqtt.ProtocolVersion.V5,
            identifier=client_id,
            properties=properties,
            timeout=30,
            **options,
        )


@pytest.fixture(scope="module")
def site(rabbitmq_cluster: LocalCluster) -> Iterator[Site]:
    made = Site(rabbitmq_cluster)
    names = [identity.cn for identity in made.identities]

    async def call(what: str) -> None:
        async with made.management() as management:
            if what == "provision":
                await provision(management, names)
            else:
                await remove_provisioned(management, names)

    asyncio.run(call("provision"))
    yield made
    asyncio.run(call("remove"))


def test_a_second_call_changes_nothing_and_strangers_are_missing(site: Site) -> None:
    async def look() -> None:
        names = [identity.cn for identity in (*site.identities, site.stranger)]
        async with site.management() as management:
            result = await provision(management, names, dry_run=True)
            assert (result.created, result.updated, result.unchanged) == (1, 0, len(site.identities))
            assert await missing_users(management, names) == [site.stranger.cn]

    asyncio.run(look())


def test_thousands_of_users_take_seconds(site: Site) -> None:
    names = [f"many{index:05d}" for index in range(2000)]

    async def make() -> None:
        async with site.management() as management:
            async with asyncio.timeout(120):
                assert (await provision(management, names)).created == len(names)
            assert (await provision(management, names)).unchanged == len(names)
            assert len(await remove_provisioned(management, names)) == len(names)

    asyncio.run(make())


def test_the_permissions_are_enough_for_every_mqtt_operation(site: Site) -> None:
    one, two, _ = site.identities

    async def talk() -> None:
        async with site.client(one, "perm", keep=True, clean_start=True) as client:
            await client.subscribe("perm/0", qos=0)
            await client.subscribe("perm/1", qos=1)
            for topic, qos in (("perm/0", 0), ("perm/1", 1)):
                await client.publish(topic, topic, qos=qos)
                assert (await anext(client.messages)).payload == topic.encode()
            await client.unsubscribe("perm/0")
        async with site.client(two, "perm-other") as client:
            await client.publish("perm/1", b"while away", qos=1)
        async with site.client(one, "perm", keep=True, clean_start=False) as client:
            assert (await anext(client.messages)).payload == b"while away"
        async with site.client(one, "perm", clean_start=True) as client:  # deletes the old session's queues
            await client.publish("perm/1", b"x", qos=1)

    asyncio.run(talk())


def test_a_user_that_was_not_provisioned_is_refused(site: Site) -> None:
    async def talk() -> None:
        async with site.client(site.stranger, "stranger"):
            pass

    with pytest.raises(aiomqtt.MqttError, match=r"(?i)134|user name"):
        asyncio.run(talk())


def test_the_view_of_three_nodes_is_right_and_lies_are_found(site: Site) -> None:
    async def look() -> None:
        async with contextlib.AsyncExitStack() as stack:
            management = await stack.enter_async_context(site.management())
            expected = []
            for index, identity in enumerate(site.identities):
                node = site.nodes[index % len(site.nodes)]
                await stack.enter_async_context(
                    site.client(identity, f"view{index}", index % len(site.nodes))
                )
                expected.append(
                    ExpectedConnection(
                        f"view{index}", identity.cn, identity.subject_rabbitmq, SENT, node=node.name
                    )
                )
            result = await check_view(management, expected, deadline_s=30)
            assert (result.checked, result.ok, result.mismatches) == (3, 3, [])
            assert result.by_node == {node.name: 1 for node in site.nodes}
            swapped = ExpectedConnection(
                "view0", site.identities[1].cn, site.identities[0].subject_rabbitmq, SENT
            )
            lie = await check_view(management, [swapped], deadline_s=0.0)
            assert lie.mismatches == [
                f"view0: user is {site.identities[0].cn!r}, not {site.identities[1].cn!r}"
            ]
            assert lie.unexpected == 2
            name = next(c["name"] for c in await management.connections() if c["user"] == expected[0].user)
            assert await management.close_connection(name, "test")

            done.append(name)

    done: list[str] = []
    # The client whose connection was closed by the broker says so when its context ends.
    with contextlib.suppress(aiomqtt.MqttError):
        asyncio.run(look())
    assert done
