"""Certificates of every kind at real nodes: who gets in, as whom, and that it was predicted."""

from __future__ import annotations

import contextlib
import re
import shutil
import ssl
import subprocess
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from loadgen.broker.provision import Permissions
from loadgen.identity.authority import Authority, ClientRequest
from loadgen.identity.directory import read_directory
from loadgen.identity.keys import KEY_TYPES
from loadgen.identity.lifetime import Moment, Validity
from loadgen.identity.login import COMMON_NAME, DISTINGUISHED_NAME, SAN, LoginRule, Source, predict
from loadgen.identity.pkcs12 import export, read_containers
from loadgen.identity.request import CLIENT_USE, Subject
from loadgen.identity.sets import Place, issue_requests
from loadgen.identity.signing import make_request, sign_request
from loadgen.identity.tls import GROUPS, TlsOffer
from tests.broker.raw_client import Entrance, RawClient
from tests.broker.witness import call
from tests.erlang import evaluate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from loadgen.broker.cluster import LocalCluster
    from loadgen.identity.identity import Identity
    from tests.conftest import RabbitFactory

pytestmark = pytest.mark.rabbitmq

USUAL = TlsOffer()

NARROW = Permissions()
RIGHTS = {"configure": NARROW.configure, "write": NARROW.write, "read": NARROW.read}


@dataclass
class Site:
    """A cluster, its CA, and one node to talk to."""

    cluster: LocalCluster
    release: str

    @property
    def authority(self) -> Authority:
        return Authority.ensure(self.cluster.certs)

    def entrance(self, offer: TlsOffer = USUAL) -> Entrance:
        place = urlsplit(self.cluster.uris[0])
        assert place.hostname
        assert place.port
        return Entrance(place.hostname, place.port, self.cluster.ca, offer)

    def api(self, method_path: str, body: object | None = None) -> Any:  # noqa: ANN401 - JSON
        return call(
            self.cluster.management_uris[0], self.cluster.password_file.read_text(), method_path, body
        )

    def allow(self, *users: str) -> None:
        """Users without password who may do what MQTT clients do."""
        self.api(
            "/api/definitions",
            {
                "users": [{"name": name, "tags": ""} for name in users],
                "permissions": [{"user": name, "vhost": "/", **RIGHTS} for name in users],
            },
        )

    def evaluate(self, expression: str) -> str:
        return evaluate(self.cluster, expression)

    def user_of(self, client_id: str) -> str:
        """As whom the first node has this client; asked of the node itself, since statistics come late."""
        told = self.evaluate(
            "[{proplists:get_value(client_id, I), proplists:get_value(user, I)} "
            "|| P <- rabbit_mqtt:local_connection_pids(), "
            "I <- [rabbit_mqtt_reader:info(P, [client_id, user])]]"
        )
        users: dict[str, str] = dict(re.findall(r'{<<"([^"]*)">>,\s*<<"([^"]*)">>}', told))
        return users.get(client_id, told)

    @contextlib.contextmanager
    def configured(self, rule: LoginRule) -> Iterator[None]:
        """The first node with these settings, as its conf file would have set them."""
        settings: list[tuple[str, str, object]] = [
            ("rabbit", "ssl_cert_login_from", rule.user.name),
            ("rabbit", "ssl_cert_login_san_type", rule.user.san_type),
            ("rabbit", "ssl_cert_login_san_index", rule.user.san_index),
        ]
        if rule.client_id is not None:
            settings += [
                ("rabbitmq_mqtt", "ssl_cert_client_id_from", rule.client_id.name),
                ("rabbitmq_mqtt", "ssl_cert_login_san_type", rule.client_id.san_type),
                ("rabbitmq_mqtt", "ssl_cert_login_san_index", rule.client_id.san_index),
            ]
        self.evaluate(
            ", ".join(f"application:set_env({app}, {key}, {value})" for app, key, value in settings)
        )
        try:
            yield
        finally:
            unset = [f"application:unset_env({app}, {key})" for app, key, _ in settings[1:]]
            login = "application:set_env(rabbit, ssl_cert_login_from, common_name)"
            self.evaluate(", ".join([*unset, login]))


@pytest.fixture(params=["4.3", "4.0"], scope="module")
def site(request: pytest.FixtureRequest, rabbitmq_factory: RabbitFactory) -> Site:
    return Site(rabbitmq_factory(request.param), request.param)


def connected(site: Site, who: Identity, client_id: str, offer: TlsOffer = USUAL) -> RawClient:
    return RawClient.connect(site.entrance(offer), who, client_id, wait=10)


def code_of(site: Site, who: Identity, client_id: str, offer: TlsOffer = USUAL) -> int | None:
    """The reason code of CONNACK; None when the broker ended TLS or the connection instead."""
    try:
        with connected(site, who, client_id, offer) as client:
            return client.code
    except ssl.SSLError:  # TLS 1.2 refuses inside the handshake
        return None


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("key_type", KEY_TYPES)
def test_every_type_of_key_gets_in(site: Site, key_type: str, version: str) -> None:
    name = f"key-{key_type}"
    (who,) = issue_requests(name, [ClientRequest(name, key_type=key_type)], Place(site.cluster.certs))
    site.allow(name)
    code = code_of(site, who, f"{name}-{version}", TlsOffer((version,)))
    # Erlang offers EdDSA to TLS 1.2 clients in none of its default settings.
    assert code == (None if (key_type, version) == ("ed25519", "1.2") else 0)


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_for_the_key_exchange_is_taken(site: Site, group: str) -> None:
    (who,) = issue_requests("group", [ClientRequest("group")], Place(site.cluster.certs))
    site.allow("group")
    assert code_of(site, who, f"group-{group}", TlsOffer(group=group)) == 0


def test_certificates_of_every_origin_get_in(site: Site, tmp_path: Path) -> None:
    certs = site.cluster.certs
    site.allow("by-request", "by-container", "by-openssl")
    subject = Subject("by-request", None, {})
    request, _ = make_request(tmp_path / "device", subject)
    sign_request(site.authority, request, tmp_path / "device", (CLIENT_USE,), Validity())
    (by_request,) = read_directory(tmp_path / "device")
    (made,) = site.authority.issue_clients([ClientRequest("by-container")])
    export(made.certificate, made.key, tmp_path / "one.p12", "word", None)

    class Word:
        def reveal(self) -> str:
            return "word"

    (by_container,) = read_containers(tmp_path / "one.p12", None, Word())
    openssl = shutil.which("openssl")
    assert openssl is not None
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-CA", certs / "ca_certificate.pem", "-CAkey", certs / "ca_key.pem"),
            *("-newkey", "rsa:2048", "-nodes", "-days", "3", "-subj", "/CN=by-openssl/O=client"),
            *("-addext", "basicConstraints=CA:FALSE", "-addext", "extendedKeyUsage=clientAuth"),
            *("-keyout", tmp_path / "by-openssl.key", "-out", tmp_path / "by-openssl.crt"),
        ],
        check=True,
        capture_output=True,
    )
    (by_openssl,) = read_directory(tmp_path, ["by-openssl"])
    for who in (by_request, by_container, by_openssl):
        assert code_of(site, who, f"origin-{who.cn}") == 0, who.cn


def test_a_chain_gets_in_at_a_broker_that_trusts_its_root_alone(site: Site, tmp_path: Path) -> None:
    chain = Authority.ensure(tmp_path, intermediates=2)
    (who,) = chain.issue_clients([ClientRequest("in-chain")])
    site.allow("in-chain")
    trusted = site.cluster.ca.read_bytes()
    try:
        site.cluster.ca.write_bytes(trusted + chain.certificate.read_bytes())
        site.evaluate("ssl:clear_pem_cache()")
        assert code_of(site, who, "in-chain") == 0
        shortened = who.certificate.read_text().partition("-----END CERTIFICATE-----\n")
        who.certificate.write_text(shortened[0] + shortened[1])
        assert code_of(site, who, "in-chain") is None, "without its intermediates"
    finally:
        site.cluster.ca.write_bytes(trusted)
        site.evaluate("ssl:clear_pem_cache()")


@pytest.mark.parametrize(
    "request_",
    [
        ClientRequest("bad-expired", not_after=Moment(-3600)),
        ClientRequest("bad-early", not_before=Moment(3600)),
        ClientRequest("bad-use", uses=("server_auth",)),
    ],
    ids=lambda request_: request_.cn,
)
def test_certificates_made_to_be_refused_are_refused(site: Site, request_: ClientRequest) -> None:
    (who,) = issue_requests(request_.cn, [request_], Place(site.cluster.certs))
    site.allow(request_.cn)
    with connected(site, who, request_.cn, TlsOffer(("1.3",))) as client:
        assert client.code is None
        assert "ALERT" in client.ended.upper()


def test_mosquitto_connects_with_our_certificate(site: Site) -> None:
    publish = shutil.which("mosquitto_pub")
    if publish is None:
        pytest.skip("no mosquitto_pub on this machine")
    (who,) = site.authority.issue_clients([ClientRequest("with-mosquitto")])
    site.allow("with-mosquitto")
    entrance = site.entrance()
    done = subprocess.run(
        [
            *(publish, "-V", "mqttv5", "-h", entrance.address, "-p", str(entrance.port)),
            *("--cafile", entrance.ca, "--cert", who.certificate, "--key", who.key),
            *("-i", "with-mosquitto", "-q", "1", "-t", "a", "-m", "b"),
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")


def san(kind: str, index: int = 0) -> Source:
    return Source(SAN, kind, index)


RULES = {
    "cn": LoginRule(Source(COMMON_NAME)),
    "dn": LoginRule(Source(DISTINGUISHED_NAME)),
    "san-dns-1": LoginRule(san("dns", 1)),
    "san-email": LoginRule(san("email")),
    "san-uri": LoginRule(san("uri")),
    "san-ip": LoginRule(san("ip")),
    "san-dns-9": LoginRule(san("dns", 9)),
    "cn, id dns": LoginRule(Source(COMMON_NAME), san("dns")),
    "cn, id dn": LoginRule(Source(COMMON_NAME), Source(DISTINGUISHED_NAME)),
    "cn, id uri": LoginRule(Source(COMMON_NAME), san("uri")),
    "email, id dns 1": LoginRule(san("email"), san("dns", 1)),
    "cn, id ip": LoginRule(Source(COMMON_NAME), san("ip")),
    "cn, id email 5": LoginRule(Source(COMMON_NAME), san("email", 5)),
}
NAMES = {
    "dns": ("rule-d0", "rule-d1"),
    "email": ("rule@example.org",),
    "uri": ("urn:rule:9",),
    "ip": ("10.0.0.1",),
}
IDS = ("rule-d0", "rule-d1", "urn:rule:9", "O=client,CN=rule-full", "something else")


_ON_4_0 = ("dn", "san-email", "cn, id dns", "email, id dns 1")


@pytest.mark.parametrize(
    ("site", "name"),
    [*(("4.3", name) for name in RULES), *(("4.0", name) for name in _ON_4_0)],
    indirect=["site"],
)
def test_what_we_predict_is_what_happens(site: Site, name: str) -> None:
    """Each rule of login and client id, three certificates, five client ids."""
    rule = RULES[name]
    full, bare, colon = issue_requests(
        "rules",
        [ClientRequest("rule-full", NAMES), ClientRequest("rule-bare"), ClientRequest("/:rule-colon")],
        Place(site.cluster.certs),
    )
    known = {"rule-full", "rule-bare", "rule-colon", "rule-d1", "rule@example.org"}
    known |= {who.subject_rabbitmq for who in (full, bare)}
    site.allow(*known)
    seen: set[str] = set()
    slow: dict[tuple[str, str], Future[int | None]] = {}
    with site.configured(rule), ThreadPoolExecutor() as pool:
        for who in (full, bare, colon):
            for client_id in IDS:
                expected = predict(who, client_id, rule)
                if expected.vhost not in (None, "/") or (expected.user and expected.user not in known):
                    continue  # a virtual host that isn't there: refused for another reason
                if expected.code == 0x86:
                    if (
                        client_id == IDS[0]
                    ):  # one is enough: the broker takes 3 s to say it, to each by itself
                        slow[who.cn, client_id] = pool.submit(code_of, site, who, client_id)
                    continue
                with connected(site, who, client_id) as client:
                    assert client.code == (expected.code or 0), (who.cn, client_id, expected)
                    if expected.accepted and who.cn not in seen:
                        seen.add(who.cn)
                        assert site.user_of(client_id) == expected.user
        assert {place: told.result() for place, told in slow.items()} == dict.fromkeys(slow, 0x86)


def test_a_user_of_another_virtual_host_by_a_colon(site: Site) -> None:
    (who,) = issue_requests("colons", [ClientRequest("urn:dev:7")], Place(site.cluster.certs))
    expected = predict(who, "colon", LoginRule())
    assert (expected.vhost, expected.user) == ("urn:dev", "7")
    site.allow("7", "urn:dev:7")
    assert code_of(site, who, "colon") == 0x86, "there is no such virtual host"


def test_other_names(site: Site) -> None:
    """Read by RabbitMQ 4.0 with OTP 27; 4.3.6 with OTP 29 ends the connection over them."""
    request = ClientRequest("with-other-name", {"other_name": ("1.3.6.1.4.1.54392.5.436=rule-other",)})
    (who,) = issue_requests("other", [request], Place(site.cluster.certs))
    site.allow("rule-other")
    rule = LoginRule(san("other_name"))
    assert predict(who, "x", rule).user == "rule-other"
    with site.configured(rule):
        assert code_of(site, who, "other") == (0 if site.release == "4.0" else None)
