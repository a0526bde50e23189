"""Real nodes, one for each way to set a cluster up for certificates: who gets in, and who does not.

Each is asked all that `scenarios/auth-matrix.yaml` asks, then some are set up wrongly on purpose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from loadgen.broker.auth import Auth
from loadgen.broker.provision import provision
from loadgen.errors import BrokerError, TargetError
from tests.broker.auth_sites import NO_SAN, Site, Sites, Variant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from loadgen.broker.auth import AuthKind
    from loadgen.broker.management import Management

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
    wanted = [kind_of(item) for item in request.session.items]
    later = [each for each in ORDER[ORDER.index(kind) + 1 :] if each in wanted]
    yield sites.take(VARIANTS[kind], VARIANTS[later[0]] if later else None)
    sites.end(kind)


def kind_of(item: Any) -> str:  # noqa: ANN401 - an item of pytest
    """The variant that a test of this session is for; empty when it is another file's."""
    params = getattr(getattr(item, "callspec", None), "params", {})
    return str(params.get("site", "")) if item.path.samefile(__file__) else ""


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
    if more := MORE.get(variant.kind):
        more(site, sites)


def assert_waited(result: dict[str, Any]) -> None:
    slowest = {row["case"]: row["slowest"] for row in result["expectations"]}
    for case in SLOW:
        assert 2.9 < slowest[case] < 9, "RabbitMQ waits for 3 s"
    assert slowest["other-client-id"] < 2.5, "and here it does not"


def let_anonymous_in(site: Site, _sites: Sites) -> None:
    """The commonest slip: a certificate that names nobody is let in as somebody else."""

    async def make_user(management: Management) -> None:
        nothing = {"configure": "", "write": "", "read": ""}
        await management.import_definitions(
            {
                "users": [{"name": "anyone", "password": "anything", "tags": []}],
                "permissions": [{"user": "anyone", "vhost": "/", **nothing}],
            }
        )

    site.manage(make_user)
    site.cluster.rabbitmqctl(
        "rabbit1",
        "eval",
        "application:set_env(rabbitmq_mqtt, allow_anonymous, true),"
        'application:set_env(rabbit, anonymous_login_user, <<"anyone">>),'
        'application:set_env(rabbit, anonymous_login_pass, <<"anything">>).',
    )
    assert failed(site.run("target.management=null")) == {"missing-san": "accepted", "anonymous": "accepted"}


def trust_anybody(site: Site, sites: Sites) -> None:
    """`verify_none`: no certificate is asked for, so none is wrong, and none says who a client is."""

    async def allow(management: Management) -> None:
        await provision(management, [sites.by_hand.cn])

    site.manage(allow)
    assert site.code(sites.by_hand, "any") == 0, "made by hand, as certs/README.md says"
    site.cluster.kill("rabbit1")
    conf = site.cluster.directory / "rabbit1/advanced.config"
    text = conf.read_text()
    wrong = text.replace("{verify, verify_peer}, {fail_if_no_peer_cert, true}", "{verify, verify_none}")
    assert wrong != text
    conf.write_text(wrong)
    site.cluster.start("rabbit1")
    found = failed(site.run("target.management=null"))
    by_tls = {case for case, answer in ANSWERS.items() if answer.startswith("TLS")} - {"anonymous"}
    assert {case: found.get(case) for case in by_tls} == dict.fromkeys(by_tls, "CONNACK 0x86")
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

    async def change(management: Management) -> None:
        parameter = {"name": "mqtt_default_vhosts", "value": {device: "site"}}
        await management.import_definitions({"vhosts": [{"name": "site"}], "global_parameters": [parameter]})
        await management.delete_permissions(device, "/")

    site.manage(change)
    with pytest.raises(TargetError, match=rf"mqtt_default_vhosts has site for '{device}', .* has none"):
        site.run()
    site.options.append(f"target.login.default_vhosts={{{device}: site}}")
    site.provision()
    assert site.code(sites.identities["device"][0], device) == 0, "it has permissions nowhere else"


MORE: dict[AuthKind, Callable[[Site, Sites], None]] = {
    "cn": trust_anybody,
    "san-dns": let_anonymous_in,
    "san-uri": refuse_another_setting,
    "san-email": map_to_a_virtual_host,
}
"""What else is tried, by variant."""
