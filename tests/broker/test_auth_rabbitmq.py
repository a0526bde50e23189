"""Real nodes, one for each way to set a cluster up for certificates: who gets in, and who does not.

Each is asked all that `scenarios/auth-matrix.yaml` asks, then some are set up wrongly on purpose.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from loadgen.broker.auth import Auth
from loadgen.errors import BrokerError, TargetError
from loadgen.run import read_scenario
from loadgen.target import management_of
from tests.broker.auth_sites import NO_SAN, Site, Sites, Variant
from tests.broker.raw_client import Entrance, RawClient

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.rabbitmq

VARIANTS = {
    "cn": Variant("cn", "auth-device"),
    "dn": Variant("dn", "O=loadgen,CN=auth-device", changes=("groups.missing-san.client_id='{user}'",)),
    "san-dns": Variant("san-dns", "auth-device", changes=NO_SAN),
    "san-uri": Variant("san-uri", "urn:auth:device", changes=NO_SAN),  # colons and all
    "san-email": Variant("san-email", "device@auth.example", changes=NO_SAN),
    "san-other-name": Variant("san-other-name", "auth-device", "4.0", NO_SAN),
}
ORDER = list(VARIANTS)
ANSWERS = {
    "certificate": "accepted",
    "missing-san": "accepted",
    "no-certificate": "TLS alert certificate_required",
    "expired": "TLS alert certificate_expired",
    "not-yet-valid": "TLS alert certificate_expired",
    "other-ca": "TLS alert unknown_ca",
    "revoked": "TLS alert certificate_revoked",
    "server-certificate": "TLS alert unsupported_certificate",
    "password-instead-of-certificate": "TLS alert certificate_required",
    "anonymous": "TLS alert certificate_required",
    "unknown-user": "CONNACK 0x86",
    "no-permissions": "CONNACK 0x87",
    "username-without-password": "CONNACK 0x86",
    "other-client-id": "CONNACK 0x85",
    "publish-not-permitted": "closed",
    "subscribe-not-permitted": "SUBACK 0x87",
    "taken-over": "DISCONNECT 0x8E",
    "taking-over": "accepted",
}
"""What RabbitMQ answers each case."""
WITHOUT_SAN = {"missing-san": "CONNACK 0x86", "anonymous": "CONNACK 0x86"}
SLOW = ("unknown-user", "no-permissions", "username-without-password")


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOADGEN_AUTH_PASSWORD", "any")
        made = Sites(tmp_path_factory.mktemp("auth"))
        yield made
        made.close()


@pytest.fixture
def site(request: pytest.FixtureRequest, sites: Sites) -> Iterator[Site]:
    """The site of the test's variant; the node of the next one that is tested comes up meanwhile."""
    kind = request.param
    wanted = [item.callspec.params["site"] for item in request.session.items if _of_matrix(item)]
    later = [each for each in ORDER[ORDER.index(kind) + 1 :] if each in wanted]
    yield sites.take(VARIANTS[kind], VARIANTS[later[0]] if later else None)
    sites.end(kind)


def _of_matrix(item: Any) -> bool:  # noqa: ANN401 - an item of pytest
    return item.path.samefile(__file__) and "site" in getattr(getattr(item, "callspec", None), "params", {})


def answers(result: dict[str, Any]) -> dict[str, str]:
    assert all(row["clients"] == len(row["got"]) == 1 for row in result["expectations"])
    return {row["case"]: next(iter(row["got"])) for row in result["expectations"]}


def failed(result: dict[str, Any]) -> dict[str, str]:
    """The cases that the result names as failed → what came instead."""
    assert (result["verdict"], result["exit_code"]) == ("fail", 99)
    named = {reason.partition(":")[0] for reason in result["reasons"]}
    rows = {row["case"]: next(iter(row["got"])) for row in result["expectations"] if row["verdict"] == "fail"}
    assert rows.keys() <= named
    return rows


@pytest.mark.parametrize("site", ORDER, indirect=True)
def test_every_case_gets_its_answer_and_a_cluster_set_up_wrongly_is_found(site: Site, sites: Sites) -> None:
    variant = site.variant
    users = site.provision()
    assert variant.device in users
    assert not any("unknown" in user for user in users)
    # The broker's view takes seconds to come; one of them looks at it, and asks for users first.
    seen = variant.kind == "san-uri"
    result = site.run(*([] if seen else ["target.management=null"]))
    assert answers(result) == ANSWERS | (WITHOUT_SAN if variant.kind.startswith("san") else {})
    assert (result["verdict"], result["reasons"]) == ("pass", [])
    totals = result["totals"]
    assert totals["delivered"] == totals["expected_deliveries"] == totals["acknowledged"] > 0
    if seen:
        view = result["broker"]["view"]
        assert (view["checked"], view["ok"], view["mismatches"]) == (2, 2, [])
    else:
        assert_waited(result)
    MORE.get(variant.kind, lambda *_: None)(site, sites)


def assert_waited(result: dict[str, Any]) -> None:
    slowest = {row["case"]: row["slowest"] for row in result["expectations"]}
    for case in SLOW:
        assert 2.9 < slowest[case] < 9, "RabbitMQ waits for 3 s"
    assert slowest["other-client-id"] < 2.5, "and here it does not"


def let_anonymous_in(site: Site, _sites: Sites) -> None:
    """The commonest slip: a certificate that names nobody is let in as somebody else."""
    target = read_scenario(site.run_options()).target
    assert target.management

    async def make_user() -> None:
        async with management_of(target.management) as management:
            await management.import_definitions(
                {
                    "users": [{"name": "anyone", "password": "anything", "tags": []}],
                    "permissions": [
                        {"user": "anyone", "vhost": "/", "configure": "", "write": "", "read": ""}
                    ],
                }
            )

    asyncio.run(make_user())
    site.cluster.rabbitmqctl(
        "rabbit1",
        "eval",
        "application:set_env(rabbitmq_mqtt, allow_anonymous, true),"
        'application:set_env(rabbit, anonymous_login_user, <<"anyone">>),'
        'application:set_env(rabbit, anonymous_login_pass, <<"anything">>).',
    )
    assert failed(site.run("target.management=null")) == {"missing-san": "accepted", "anonymous": "accepted"}


def trust_anybody(site: Site, _sites: Sites) -> None:
    """`verify_none`: no certificate is asked for, so none is wrong, and none says who a client is."""
    site.cluster.kill("rabbit1")
    conf = site.cluster.directory / "rabbit1/advanced.config"
    text = conf.read_text()
    wrong = text.replace("{verify, verify_peer}, {fail_if_no_peer_cert, true}", "{verify, verify_none}")
    assert wrong != text
    conf.write_text(wrong)
    site.cluster.start("rabbit1")
    found = failed(site.run("target.management=null"))
    let_in_by_tls = {case for case, answer in ANSWERS.items() if answer.startswith("TLS")} - {"anonymous"}
    assert {case: found.get(case) for case in let_in_by_tls} == dict.fromkeys(let_in_by_tls, "CONNACK 0x86")
    assert found["certificate"] == "CONNACK 0x86"


def refuse_another_setting(site: Site, _sites: Sites) -> None:
    with pytest.raises(BrokerError, match=r"SAN uri 0, client ids verified by SAN uri 0, CRL checked"):
        site.cluster.up(
            1,
            certs=site.cluster.certs,
            install=site.cluster.install,
            mqtt_port=site.cluster.status()[0].mqtt_port,
            management_port=site.cluster.status()[0].management_port,
            auth=Auth("cn"),
        )


def map_to_a_virtual_host(site: Site, sites: Sites) -> None:
    """`mqtt_default_vhosts`, which the target has to tell, and the run finds out if it does not."""
    device = site.variant.device
    options = site.run_options()
    target = read_scenario(options).target
    assert target.management

    async def change() -> None:
        async with management_of(target.management) as management:
            parameter = {"name": "mqtt_default_vhosts", "value": {device: "site"}}
            await management.import_definitions(
                {"vhosts": [{"name": "site"}], "global_parameters": [parameter]}
            )
            await management.delete_permissions(device, "/")

    asyncio.run(change())
    with pytest.raises(TargetError, match=rf"mqtt_default_vhosts has site for '{device}', .* has none"):
        site.run()
    site.options.append(f"target.login.default_vhosts={{{device}: site}}")
    site.provision()
    node = site.cluster.status()[0]
    entrance = Entrance(node.address, node.mqtt_port, site.cluster.ca)
    with RawClient.connect(entrance, sites.identities["device"][0], device) as client:
        assert client.code == 0  # it has permissions nowhere else


MORE = {
    "san-email": map_to_a_virtual_host,
    "cn": trust_anybody,
    "san-dns": let_anonymous_in,
    "san-uri": refuse_another_setting,
}
"""What else is tried, by variant."""
