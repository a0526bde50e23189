"""What a real RabbitMQ reads from certificates, beside what we say it reads."""

from __future__ import annotations

import base64
import datetime as dt
import re
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from loadgen.identity import reading
from loadgen.identity.login import COMMON_NAME, DISTINGUISHED_NAME, SAN, Source, certificate_name
from tests.erlang import evaluate

if TYPE_CHECKING:
    from loadgen.broker.cluster import LocalCluster

pytestmark = pytest.mark.rabbitmq

OID = x509.ObjectIdentifier("1.3.6.1.4.1.54392.5.436")
KNOWN = {
    NameOID.COMMON_NAME: "dev1",
    NameOID.ORGANIZATION_NAME: 'client, "inc"',
    NameOID.ORGANIZATIONAL_UNIT_NAME: " u#",
    NameOID.LOCALITY_NAME: "Köln",
    NameOID.STATE_OR_PROVINCE_NAME: "NW",
    NameOID.COUNTRY_NAME: "DE",
    NameOID.SERIAL_NUMBER: "S-1",
    NameOID.EMAIL_ADDRESS: "a@b",
    NameOID.DOMAIN_COMPONENT: "dc",
    NameOID.TITLE: "t",
    NameOID.SURNAME: "sn",
    NameOID.GIVEN_NAME: "g",
    NameOID.PSEUDONYM: "p",
    NameOID.INITIALS: "I",
    NameOID.GENERATION_QUALIFIER: "gq",
}
"""Every part of a subject that RabbitMQ has a short name for, except UID.

How it shows those without one, and UID, depends on Erlang: OTP 29 prints the undecoded term.
"""
SUBJECTS = {
    "plain": [(NameOID.COMMON_NAME, "dev1"), (NameOID.ORGANIZATION_NAME, "client")],
    "all parts": list(KNOWN.items()),
    "two names": [(NameOID.COMMON_NAME, "one"), (NameOID.COMMON_NAME, "zwö")],
    "no name": [(NameOID.ORGANIZATION_NAME, "only")],
    "colons": [(NameOID.COMMON_NAME, "urn:dev:9")],
}
SANS: list[x509.GeneralName] = [
    x509.DNSName("d0"),
    x509.RFC822Name("m@x"),
    x509.DNSName("d1"),
    x509.IPAddress(ip_address("10.0.0.1")),
    x509.IPAddress(ip_address("49.50.51.52")),
    x509.UniformResourceIdentifier("urn:dev:9"),
    x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])),
    x509.IPAddress(ip_address("2001:db8::1")),
]
SOURCES = [
    Source(COMMON_NAME),
    Source(DISTINGUISHED_NAME),
    *(Source(SAN, kind, index) for kind in ("dns", "ip", "email", "uri") for index in range(4)),
]


def certificate(
    parts: list[tuple[x509.ObjectIdentifier, str]], sans: list[x509.GeneralName]
) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(5).not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
    if sans:
        builder = builder.add_extension(x509.SubjectAlternativeName(sans), critical=False)
    return builder.sign(key, hashes.SHA256())


def ask(cluster: LocalCluster, one: x509.Certificate, sources: list[Source]) -> list[bytes | None]:
    """What `rabbit_ssl:peer_cert_auth_name` of a running node says, for each source."""
    der = base64.b64encode(one.public_bytes(serialization.Encoding.DER)).decode()
    settings = ",".join(f"{{{each.name},{each.san_type},{each.san_index}}}" for each in sources)
    told = evaluate(
        cluster,
        f'D = base64:decode("{der}"), Names = [case rabbit_ssl:peer_cert_auth_name(S, D) of '
        f"not_found -> none; Name -> binary:encode_hex(Name) end || S <- [{settings}]], "
        '[case N of none -> "none"; _ -> binary_to_list(N) end || N <- Names]',
    )
    words = re.findall(r'"([0-9A-F]*|none)"', told)
    assert len(words) == len(sources), told
    return [None if word == "none" else bytes.fromhex(word) for word in words]


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("sans", [SANS, []], ids=["SANs", "no SAN"])
def test_names(rabbitmq_cluster: LocalCluster, subject: str, sans: list[x509.GeneralName]) -> None:
    one = certificate(SUBJECTS[subject], sans)
    identity = reading.identity_of(one, Path("c"), Path("k"))
    ours = [certificate_name(identity, source) for source in SOURCES]
    assert ours == ask(rabbitmq_cluster, one, SOURCES)
