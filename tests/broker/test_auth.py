from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from loadgen.broker.auth import KINDS, Auth, AuthKind
from loadgen.broker.conf import node_conf
from loadgen.broker.state import NodeState
from loadgen.plan.logins import login_rule
from loadgen.scenario.target import Target


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("verify", [False, True])
def test_the_target_file_tells_the_same_rule(kind: AuthKind, verify: bool) -> None:  # noqa: FBT001
    auth = Auth(kind, verify)
    settings = yaml.safe_load(auth.target())
    assert login_rule(Target.model_validate({"uris": ["mqtts://h"]} | settings)) == auth.rule


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("verify", [False, True])
def test_no_key_is_set_twice(kind: AuthKind, verify: bool) -> None:  # noqa: FBT001
    node = NodeState("rabbit1", "127.0.0.1", 8883, 15672, 0)
    conf = node_conf(node, [node], "/x", "p", Auth(kind, verify))
    keys = [line.partition("=")[0].strip() for line in conf.splitlines() if line and line[0] != "#"]
    assert len(keys) == len(set(keys))
    assert "ssl_cert_login_from" in keys
    assert ("mqtt.ssl_cert_client_id_from" in keys) == verify


def test_the_client_id_is_verified_by_the_name_of_the_user() -> None:
    conf = Auth("san-email", verify_client_id=True).conf()
    assert "ssl_cert_login_san_type = email" in conf
    assert "mqtt.ssl_cert_login_san_type = email" in conf
    assert Auth("dn", verify_client_id=True).conf() == [
        "ssl_cert_login_from = distinguished_name",
        "mqtt.ssl_cert_client_id_from = distinguished_name",
    ]


def test_rabbitmq_verifies_no_common_name_so_a_dns_name_takes_its_place() -> None:
    auth = Auth("cn", verify_client_id=True)
    assert "mqtt.ssl_cert_login_san_type = dns" in auth.conf()
    assert str(auth) == "users by common name, client ids verified by SAN dns 0"


def test_the_docs_show_the_conf() -> None:
    text = (Path(__file__).parents[2] / "docs/cluster.md").read_text(encoding="utf-8")
    for kind in KINDS:
        assert f"`{kind}`" in text
    for auth in (Auth("dn", verify_client_id=True), Auth("san-dns", verify_client_id=True), Auth("cn")):
        assert all(line in text for line in auth.conf())
    assert Auth("san-uri").advanced_conf("TLS") in text
    assert Auth("cn", check_crl=True).advanced_conf("TLS") in text


def test_only_uris_need_colons_to_be_ignored() -> None:
    assert [kind for kind in KINDS if "ignore_colons" in Auth(kind).advanced_conf("TLS")] == ["san-uri"]
