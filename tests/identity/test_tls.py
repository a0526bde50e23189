from __future__ import annotations

import contextlib
import ssl
from typing import TYPE_CHECKING

import pytest

from loadgen.errors import ConfigError
from loadgen.identity.authority import Authority, ClientRequest
from loadgen.identity.tls import GROUPS, IdentityContexts, TlsOffer, client_context, load_identity
from loadgen.scenario.target import TlsSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from loadgen.identity.identity import Identity

    OpenSSL = Callable[..., str]


@pytest.fixture
def server(authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue_server("rabbit1", ["localhost"], ["127.0.0.1"]))
    context.load_verify_locations(authority.certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


class Handshake:
    """A client and a server back to back, no socket between them."""

    def __init__(self, client: ssl.SSLContext, server: ssl.SSLContext, name: str = "localhost") -> None:
        to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = client.wrap_bio(to_client, to_server, server_hostname=name)
        self.server = server.wrap_bio(to_server, to_client, server_side=True)

    def seen(self) -> str:
        """Complete the handshake; the common name that the server saw."""
        for _ in range(4):
            for side in (self.client, self.server):
                with contextlib.suppress(ssl.SSLWantReadError):
                    side.do_handshake()
        certificate = self.server.getpeercert()
        assert certificate is not None
        subject: dict[str, str] = dict(part[0] for part in certificate["subject"])  # type: ignore[misc]
        return subject["commonName"]


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_clients_that_share_a_context_each_show_their_own_certificate(
    authority: Authority, server: ssl.SSLContext, version: str
) -> None:
    clients = authority.issue_clients([ClientRequest(f"dev{index}") for index in range(20)])
    context = client_context(authority.certificate, TlsOffer((version,)))
    waiting = []
    for client in clients:
        load_identity(context, client)
        waiting.append(Handshake(context, server))
    assert [one.seen() for one in waiting] == [client.cn for client in clients]
    assert {one.client.version() for one in waiting} == {f"TLSv{version}"}


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_mixed_types_of_key_each_show_their_own_certificate(
    authority: Authority, server: ssl.SSLContext, version: str
) -> None:
    kinds = ["rsa-2048", "ec-p256", "rsa-2048", "ec-p256"]
    clients = authority.issue_clients(
        [ClientRequest(f"dev{index}", key_type=kind) for index, kind in enumerate(kinds)]
    )
    contexts = IdentityContexts(authority.certificate, TlsOffer((version,)))
    for client in clients * 2:
        assert Handshake(contexts.for_identity(client), server).seen() == client.cn


def test_the_servers_name_and_signer_are_checked(
    authority: Authority, server: ssl.SSLContext, tmp_path: Path
) -> None:
    (client,) = authority.issue_clients([ClientRequest("dev1")])
    good = client_context(authority.certificate)
    load_identity(good, client)
    assert Handshake(good, server, "127.0.0.1").seen() == "dev1"
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        Handshake(good, server, "rabbit2").seen()
    stranger = client_context(Authority.create(tmp_path / "other").certificate)
    load_identity(stranger, client)
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate verify failed"):
        Handshake(stranger, server).seen()
    careless = client_context(None, TlsOffer(insecure=True))
    load_identity(careless, client)
    assert Handshake(careless, server, "rabbit2").seen() == "dev1"


def test_the_systems_cas_are_not_trusted_beside_a_given_one(authority: Authority) -> None:
    assert client_context(authority.certificate).cert_store_stats() == {"x509": 1, "crl": 0, "x509_ca": 1}


@pytest.mark.parametrize("versions", [(), ("1.1",), ("1.2", "TLSv1.3")])
def test_unknown_versions(versions: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match=r"tls\.versions"):
        client_context(None, TlsOffer(versions))


def test_a_ca_file_that_is_missing_or_none(authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.pem: CA file cannot be read: No such file"):
        client_context(tmp_path / "none.pem")
    with pytest.raises(ConfigError, match="no CA certificate in PEM form"):
        client_context(authority.directory / "ca_key.pem")


def _encrypt(client: Identity, openssl: OpenSSL) -> None:
    locked = client.key.with_suffix(".locked")
    openssl("pkey", "-in", client.key, "-aes256", "-passout", "pass:x", "-out", locked)
    client.key.write_bytes(locked.read_bytes())


def test_pairs_that_cannot_be_loaded(authority: Authority, openssl: OpenSSL) -> None:
    mixed, gone, locked = authority.issue_clients([ClientRequest(cn) for cn in ("mixed", "gone", "locked")])
    mixed.key.write_bytes(gone.key.read_bytes())
    gone.key.unlink()
    _encrypt(locked, openssl)
    context = client_context(authority.certificate)
    with pytest.raises(ConfigError, match=r"client_mixed_key.pem: .*MISMATCH"):
        load_identity(context, mixed)
    with pytest.raises(ConfigError, match=r"client_gone_key.pem: No such file"):
        load_identity(context, gone)
    with pytest.raises(ConfigError, match=r"client_locked_key.pem: the private key is encrypted"):
        load_identity(context, locked)


def test_the_chosen_cipher_suite_is_used(authority: Authority, server: ssl.SSLContext) -> None:
    (client,) = authority.issue_clients([ClientRequest("dev")])
    for suite in ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"):
        contexts = IdentityContexts(authority.certificate, TlsOffer(("1.2",), (suite,)))
        handshake = Handshake(contexts.for_identity(client), server)
        assert handshake.seen() == "dev"
        chosen = handshake.client.cipher()
        assert chosen is not None
        assert chosen[0] == suite


def test_a_cipher_suite_that_is_not_there(authority: Authority) -> None:
    with pytest.raises(ConfigError, match="OpenSSL knows none of NONSENSE"):
        IdentityContexts(authority.certificate, TlsOffer(("1.2",), ("NONSENSE",)))


@pytest.mark.parametrize("group", GROUPS)
def test_only_the_chosen_group_is_offered(authority: Authority, server: ssl.SSLContext, group: str) -> None:
    (client,) = authority.issue_clients([ClientRequest("dev")])
    contexts = IdentityContexts(authority.certificate, TlsOffer(group=group))
    other = "secp384r1" if group == "x25519" else "x25519"
    server.set_ecdh_curve(GROUPS[group])
    assert Handshake(contexts.for_identity(client), server).seen() == "dev"
    server.set_ecdh_curve(GROUPS[other])
    with pytest.raises(ssl.SSLError, match=r"(?i)no.suitable|handshake.failure"):
        Handshake(contexts.for_identity(client), server).seen()


@pytest.mark.parametrize("group", GROUPS)
def test_a_scenario_may_name_every_group(group: str) -> None:
    assert TlsSettings.model_validate({"group": group}).group == group


def test_a_group_that_is_not_there(authority: Authority) -> None:
    with pytest.raises(ConfigError, match=r"tls\.group: this OpenSSL has no x25518"):
        IdentityContexts(authority.certificate, TlsOffer(group="x25518"))
