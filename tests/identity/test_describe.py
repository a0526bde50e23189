from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from loadgen.errors import ConfigError
from loadgen.identity.authority import Authority, ClientRequest
from loadgen.identity.describe import certificate_files, describe

if TYPE_CHECKING:
    from collections.abc import Callable

    OpenSSL = Callable[..., str]


def test_a_description_agrees_with_openssl(authority: Authority, openssl: OpenSSL) -> None:
    (client,) = authority.issue_clients([ClientRequest("dev1", {"dns": ("a",)})])
    found = describe(client.certificate)
    text = openssl("x509", "-in", client.certificate, "-noout", "-fingerprint", "-sha256")
    assert text.strip().split("=")[1].replace(":", "").lower() == found.fingerprint
    dates = openssl("x509", "-in", client.certificate, "-noout", "-dates", "-dateopt", "iso_8601")
    assert f"notAfter={found.not_after}".replace("T", " ") in dates
    assert (found.common_name, found.distinguished_name) == ("dev1", "O=client,CN=dev1")
    assert (found.usages, found.sans, found.key) == (("clientAuth",), {"dns": ("a",)}, str(client.key))


def test_uses_of_the_ca_and_a_server(authority: Authority) -> None:
    certificate, _ = authority.issue_server("rabbit1")
    assert describe(certificate).usages == ("serverAuth",)
    assert describe(authority.certificate).usages == ("CA",)
    assert [file.name for file in certificate_files(authority.directory)] == [
        "ca_certificate.pem",
        "server_rabbit1_certificate.pem",
    ]


def test_what_is_no_certificate(authority: Authority) -> None:
    with pytest.raises(ConfigError, match="no certificate in PEM form"):
        describe(authority.directory / "ca_key.pem")
    with pytest.raises(ConfigError, match="No such file"):
        describe(authority.directory / "x")
    with pytest.raises(ConfigError, match=r"no \*_certificate.pem"):
        certificate_files(authority.directory.parent)
