from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import ConfigError
from loadgen.identity import reading
from loadgen.identity.alternative_names import general_name, plain_sans, sans_of, text_of
from loadgen.identity.authority import Authority, ClientRequest
from loadgen.identity.certificates import new_authority, new_leaf, subject_name
from loadgen.identity.request import Subject

if TYPE_CHECKING:
    from collections.abc import Callable

    OpenSSL = Callable[..., str]

OID = "1.3.6.1.4.1.54392.5.436"
ISSUER = new_authority("ca", 86_400, 1e9)
NAME = subject_name(Subject("x", None, {}))


def certificate(*names: x509.GeneralName) -> x509.Certificate:
    return new_leaf(ISSUER, NAME, names, ISSUER.key.public_key(), start=1e9, end=1e9 + 60)


def test_openssl_reads_every_kind(authority: Authority, openssl: OpenSSL) -> None:
    sans = {
        "dns": ("d0", "d1"),
        "ip": ("10.0.0.1", "2001:db8::1"),
        "email": ("m@example.org",),
        "uri": ("urn:dev:9",),
        "other_name": (f"{OID}=dev-é", "1.3.6.1.4.1.311.20.2.3=user@example.org"),
    }
    (client,) = authority.issue_clients([ClientRequest("dev1", sans)])
    text = openssl("x509", "-in", client.certificate, "-noout", "-ext", "subjectAltName", "-nameopt", "utf8")
    assert "DNS:d0, DNS:d1, IP Address:10.0.0.1" in text
    assert "email:m@example.org, URI:urn:dev:9" in text
    assert text.count("othername:") == 2
    assert "UPN:user@example.org" in text.replace("::", ":")  # as OpenSSL 3.2 and newer write it
    parsed = openssl("asn1parse", "-in", client.certificate)
    position = parsed.split("X509v3 Subject Alternative Name")[1].split("\n")[1].split(":")[0].strip()
    inner = openssl("asn1parse", "-in", client.certificate, "-strparse", position)
    assert inner.count("UTF8STRING") == 2
    assert "UTF8STRING        :user@example.org" in inner
    assert client.sans == sans


def test_several_of_each_kind_keep_their_order() -> None:
    one = certificate(
        general_name("uri", "urn:1"),
        general_name("dns", "b"),
        general_name("other_name", f"{OID}=2"),
        general_name("dns", "a"),
        general_name("other_name", "2.5.4.3=1"),
    )
    assert sans_of(one) == {"dns": ("b", "a"), "uri": ("urn:1",), "other_name": (f"{OID}=2", "2.5.4.3=1")}


@pytest.mark.parametrize(
    "der",
    [
        b"\x13\x03abc",  # PrintableString
        b"\x16\x03abc",  # IA5String
        b"\x0c\x01\xff",  # no UTF-8
        b"\x0c\x02#a",  # would look like hexadecimal
        b"\x02\x01\x05",
    ],
)
def test_what_is_no_utf8_string_is_shown_as_its_bytes(der: bytes) -> None:
    one = certificate(x509.OtherName(x509.ObjectIdentifier(OID), der))
    assert sans_of(one) == {"other_name": (f"{OID}=#{der.hex()}",)}


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=70_000 // 100).filter(str.isprintable))
def test_an_other_name_is_read_back(text: str) -> None:
    if text.startswith("#"):
        with pytest.raises(ConfigError, match="not begin with #"):
            general_name("other_name", f"{OID}={text}")
        return
    for value in (text, text * 100):  # lengths of one and of several bytes
        name = general_name("other_name", f"{OID}={value}")
        assert sans_of(certificate(name)) == {"other_name": (f"{OID}={value}",)}
        assert text_of("other_name", f"{OID}={value}") == value


@pytest.mark.parametrize("value", ["", "dev1", "1.2.3", "1.2.3=", "1=x", "a.b=x", "1.02=x", "3.1=x"])
def test_other_names_that_are_none(value: str) -> None:
    with pytest.raises(ConfigError, match="OID=TEXT"):
        general_name("other_name", value)


def test_plain_sans_are_what_a_certificate_gives_back() -> None:
    given_ = {"ip": ("2001:0db8::0001",), "dns": (), "uri": ("urn:X",)}
    names = [general_name(kind, value) for kind, values in given_.items() for value in values]
    assert plain_sans(given_) == sans_of(certificate(*names)) == {"ip": ("2001:db8::1",), "uri": ("urn:X",)}


def test_a_certificate_without_any(authority: Authority) -> None:
    root = reading.parse_certificate(authority.certificate.read_bytes(), authority.certificate)
    assert sans_of(root) == {}
