"""Real nodes, one for each way to set a cluster up for certificates: who gets in, with which client id."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from loadgen.broker.auth import Auth, AuthKind
from loadgen.broker.cluster import LocalCluster
from loadgen.broker.provision import provision_grants
from loadgen.errors import BrokerError
from loadgen.grants import grants_of
from loadgen.identity.prepare import prepare_set
from loadgen.scenario.load import load_scenario
from loadgen.target import management_of
from tests.broker.raw_client import Entrance, RawClient
from tests.conftest import free_ports, install_of
from tests.shipped import loadgen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from loadgen.identity.identity import Identity
    from loadgen.scenario.model import Scenario

pytestmark = pytest.mark.rabbitmq

OID = "1.3.6.1.4.1.54392.5.436"
SCENARIO = """
name: auth
target: {{kind: embedded}}
identities:
  devices:
    issue:
      count: 1
      common_name: dev
      organization: fleet
      san: {{dns: [d.example], uri: ["urn:dev:9"], email: [m@x.example], other_name: ["{oid}=other"]}}
      out: {out}
groups:
  all:
    clients: 1
    identity: devices
    client_id: "{client_id}"
    publish: {{topic: "auth/{{cn}}", qos: 1, rate: 5/s}}
    subscribe: {{filter: "auth/#", qos: 1}}
stages:
  - {{name: connect, connect: 10/s}}
  - {{name: steady, hold: 1s}}
  - {{name: drain, drain: 2s}}
"""


@dataclass
class Site:
    """One node, and a scenario of one client for it."""

    cluster: LocalCluster
    path: Path
    scenario: Scenario
    identity: Identity

    @property
    def users(self) -> list[str]:
        return [grant.user for grant in grants_of(self.scenario)]

    def provision(self) -> None:
        async def call() -> None:
            assert self.scenario.target.management
            async with management_of(self.scenario.target.management) as management:
                assert (await provision_grants(management, grants_of(self.scenario))).created == 1

        asyncio.run(call())

    def connect(self, client_id: str) -> RawClient:
        node = self.cluster.status()[0]
        return RawClient.connect(
            Entrance(node.address, node.mqtt_port, self.cluster.ca), self.identity, client_id
        )


@contextlib.contextmanager
def site(folder: Path, auth: Auth, client_id: str, release: str = "4.3") -> Iterator[Site]:
    mqtt_port, management_port = free_ports(20)
    cluster = LocalCluster(folder / "cluster")
    certs = folder / "certs"
    path = folder / "auth.yaml"
    path.write_text(SCENARIO.format(oid=OID, out=certs, client_id=client_id), encoding="utf-8")
    try:
        cluster.up(
            1,
            certs=certs,
            install=install_of(release),
            mqtt_port=mqtt_port,
            management_port=management_port,
            auth=auth,
        )
        scenario = load_scenario(path, target=cluster.target_file)
        yield Site(cluster, path, scenario, prepare_set("devices", scenario.identities["devices"])[0])
    finally:
        cluster.down(purge=True, grace_s=0.0)


@pytest.mark.parametrize(
    ("kind", "release", "user", "client_id"),
    [
        ("cn", "4.3", "dev", "d.example"),
        ("dn", "4.3", "O=fleet,CN=dev", "O=fleet,CN=dev"),
        ("san-dns", "4.3", "d.example", "d.example"),
        ("san-email", "4.3", "m@x.example", "m@x.example"),
        ("san-other-name", "4.0", "other", "other"),
    ],
)
def test_the_named_user_gets_in_with_the_right_client_id_only(
    tmp_path: Path, kind: AuthKind, release: str, user: str, client_id: str
) -> None:
    with site(tmp_path, Auth(kind, verify_client_id=True), client_id, release) as here:
        assert here.users == [user]
        here.provision()  # no other user has permissions, and nobody is anonymous: who gets in is this one
        with here.connect(client_id) as right:
            assert right.code == 0
            assert right.subscribe(("auth/x", 1)) == (1,)
            assert right.publish("auth/x") == 0
        with here.connect(f"{client_id}x") as wrong:
            assert wrong.code == 0x85


def test_a_run_by_the_target_file_sees_the_user_named_by_a_uri(tmp_path: Path) -> None:
    with site(tmp_path, Auth("san-uri", verify_client_id=True), "{san.uri}") as here:
        assert here.users == ["urn:dev:9"]  # colons and all
        options = [str(here.path), "--target", str(here.cluster.target_file)]
        for command in ("provision", "run"):
            done = loadgen(tmp_path, command, *options)
            assert done.returncode == 0, done.stdout + done.stderr
        result = json.loads((tmp_path / "runs/latest/result.json").read_text(encoding="utf-8"))
        assert (result["broker"]["view"]["ok"], result["broker"]["view"]["mismatches"]) == (1, [])
        with here.connect("dev") as wrong:
            assert wrong.code == 0x85
        with pytest.raises(BrokerError, match=r"SAN uri 0, client ids verified"):
            here.cluster.up(
                1,
                certs=tmp_path / "certs",
                install=here.cluster.install,
                mqtt_port=here.cluster.status()[0].mqtt_port,
                management_port=here.cluster.status()[0].management_port,
                auth=Auth("cn"),
            )
