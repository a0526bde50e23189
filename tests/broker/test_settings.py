"""What brokers are set to, held against what a target says of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from loadgen.broker.auth import KINDS, Auth, AuthKind
from loadgen.broker.conf import node_conf
from loadgen.broker.install import RabbitInstall
from loadgen.broker.management import Management
from loadgen.broker.settings import api_problems, compare_conf, compare_versions, local_problems, read_conf
from loadgen.broker.state import ClusterState, NodeState
from loadgen.identity.login import SAN, LoginRule, Source
from tests.fakes.management_api import FakeManagementApi

if TYPE_CHECKING:
    from pathlib import Path

    from loadgen.errors import Problem


def conf_of(auth: Auth) -> str:
    node = NodeState("rabbit1", "127.0.0.1", 8883, 15672, 0)
    return node_conf(node, [node], "/srv/loadgen", "pass-word", auth)


def compared(conf: str, rule: LoginRule, advanced: str = "[].") -> list[Problem]:
    return list(compare_conf(read_conf(conf), advanced, rule, "rabbitmq.conf"))


@pytest.mark.parametrize("verified", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_our_own_clusters_are_set_as_their_target_says(kind: AuthKind, *, verified: bool) -> None:
    for crl in (True, False):
        auth = Auth(kind, verified, crl)
        assert compared(conf_of(auth), auth.rule, auth.advanced_conf("/tls")) == []


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        (LoginRule(Source(SAN, "dns")), "users are named by common name, and the target says SAN dns 0"),
        (
            LoginRule(client_id=Source(SAN, "dns")),
            "client ids are not verified, and the target says SAN dns 0",
        ),
        (LoginRule(vhost="site"), "mqtt.vhost is /, and the target says site"),
        (LoginRule(ignore_colons=True), "ignore_colons_in_username is false, and the target says true"),
    ],
)
def test_what_differs_is_an_error_with_both_sides(rule: LoginRule, what: str) -> None:
    (problem,) = compared(conf_of(Auth()), rule)
    assert (problem.what, problem.warning, problem.where) == (what, False, "rabbitmq.conf")
    assert problem.mend.startswith("mend ")


def test_san_type_and_index_count() -> None:
    conf = conf_of(Auth("san-uri", verify_client_id=True)).replace("_index = 0", "_index = 1")
    user, client_id = compared(
        conf, Auth("san-uri", verify_client_id=True).rule, "ignore_colons_in_username,true"
    )
    assert "SAN uri 1, and the target says SAN uri 0" in user.what
    assert client_id.what == "client ids must be SAN uri 1, and the target says SAN uri 0"


def test_defaults_of_rabbitmq_let_too_many_in() -> None:
    told = [(problem.warning, problem.what.partition(":")[0]) for problem in compared("", LoginRule())]
    assert told == [
        (False, "mqtt.ssl_cert_login is off"),
        (False, "users are named by distinguished name, and the target says common name"),
        (True, "mqtt.allow_anonymous is on"),
        (True, "ssl_options.verify is not verify_peer"),
    ]


def test_a_target_beside_a_clusters_state_is_compared_and_others_are_not(tmp_path: Path) -> None:
    target = tmp_path / "target.yaml"
    assert local_problems(target, LoginRule(vhost="x")) == []
    state: dict[str, Any] = {"certs": tmp_path, "epmd_port": 0, "scheduler_threads": 1}
    install = RabbitInstall("path", "4.3.6", "/usr/sbin")
    ClusterState(install, [NodeState("rabbit1", "127.0.0.1", 8883, 15672, 0)], **state).save(tmp_path)
    assert local_problems(target, LoginRule(vhost="x")) == []
    (tmp_path / "rabbit1").mkdir()
    (tmp_path / "rabbit1/rabbitmq.conf").write_text(conf_of(Auth()))
    (tmp_path / "rabbit1/advanced.config").write_text("[].")
    assert [problem.what for problem in local_problems(target, LoginRule(vhost="x"))] == [
        "mqtt.vhost is /, and the target says x"
    ]


def asked(parameters: dict[str, Any], rule: LoginRule, names: set[str]) -> list[str]:
    async def ask() -> list[str]:
        async with FakeManagementApi() as api:
            api.parameters = parameters
            async with Management([api.uri], "admin", "right") as management:
                return [each.what for each in await api_problems(management, rule, 8883, names)]

    return asyncio.run(ask())


def test_virtual_hosts_of_certificates_are_those_of_the_target() -> None:
    parameters = {"mqtt_default_vhosts": {"dev1": "site", "elsewhere": "other"}}
    assert asked(parameters, LoginRule(default_vhosts={"dev1": "site"}), {"dev1", "dev2"}) == []
    assert asked(parameters, LoginRule(), {"dev1", "dev2"}) == [
        "mqtt_default_vhosts has site for 'dev1', and the target has none"
    ]
    assert asked({}, LoginRule(default_vhosts={"dev1": "site", "dev2": "x"}), {"dev1", "dev2"}) == [
        "mqtt_default_vhosts has none for 'dev1', and the target has site (and 1 more)"
    ]


def test_a_virtual_host_of_the_port_counts_too() -> None:
    parameters = {"mqtt_port_to_vhost_mapping": {"8883": "mqtt", "1883": "plain"}}
    assert asked(parameters, LoginRule(vhost="mqtt"), set()) == []
    assert asked(parameters, LoginRule(), set()) == [
        "mqtt_port_to_vhost_mapping has virtual host 'mqtt' for port 8883, and the target says /"
    ]


def test_what_a_release_cannot_do_is_said() -> None:
    other_name = LoginRule(Source(SAN, "other_name"))
    assert list(compare_versions({"rabbitmq_version": "4.0.5", "erlang_version": "27.2"}, other_name)) == []
    (closes,) = compare_versions({"rabbitmq_version": "4.3.6", "erlang_version": "29.0"}, other_name)
    assert closes.what == "RabbitMQ 4.3.6 with Erlang/OTP 29 closes connections over other names"
    verified = LoginRule(client_id=Source(SAN, "dns"))
    (old,) = compare_versions({"rabbitmq_version": "3.13.7", "erlang_version": "26.1"}, verified)
    assert "verifies no client ids" in old.what
