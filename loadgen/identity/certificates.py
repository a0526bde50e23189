"""Building single X.509 certificates in memory; files, and what is to be issued, are elsewhere."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from loadgen.errors import ConfigError, Problem
from loadgen.identity.identity import SAN_KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
"""The kinds of private key that loadgen issues for, and that a CA of loadgen or tls-gen has."""

CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER = ExtendedKeyUsageOID.SERVER_AUTH
BACKDATED_S = 300
"""Certificates start this many seconds before now: clocks of other machines may be behind ours."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a certificate is to say about its owner."""

    cn: str
    organization: str | None
    sans: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Issuer:
    """A CA in memory: its certificate and private key."""

    certificate: x509.Certificate
    key: PrivateKey


def new_key(key_type: str) -> PrivateKey:
    """Make a private key: `ec-p256` takes 0.05 ms, `rsa-2048` about 70 ms.

    Raises:
        ConfigError: another type of key.
    """
    if key_type == "ec-p256":
        return ec.generate_private_key(ec.SECP256R1())
    if key_type == "rsa-2048":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    raise ConfigError(f"key: {key_type!r} is not supported", "write ec-p256 or rsa-2048")


def new_authority(cn: str, valid_for_s: int, now: float) -> Issuer:
    """Make a self-signed P-256 CA that may sign leaf certificates only (path length 0)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = _validity(x509.CertificateBuilder(), now - BACKDATED_S, now + valid_for_s)
    certificate = (
        builder.subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(sign_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    return Issuer(certificate, key)


def new_leaf(
    issuer: Issuer,
    subject: Subject,
    key: PrivateKey,
    *,
    usage: x509.ObjectIdentifier,
    valid_for_s: int,
    now: float,
) -> x509.Certificate:
    """Sign a certificate for a client or a server; it never outlives its CA.

    Args:
        issuer: the CA.
        subject: names to put in; kinds of SANs come in the order of `SAN_KINDS`.
        key: the owner's key; only its public half is used.
        usage: `CLIENT` or `SERVER`, the one extended key usage.
        valid_for_s: seconds of validity from `now`.
        now: seconds since the epoch.

    Raises:
        ConfigError: a name that X.509 cannot hold.
    """
    end = min(now + valid_for_s, issuer.certificate.not_valid_after_utc.timestamp())
    is_rsa = isinstance(key, rsa.RSAPrivateKey)
    builder = (
        _validity(x509.CertificateBuilder(), now - BACKDATED_S, end)
        .subject_name(_subject_name(subject))
        .issuer_name(issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            _key_usage(encipher_keys=is_rsa), critical=True
        )  # RSA key exchange exists in TLS 1.2 only
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_authority_identifier(issuer), critical=False)
    )
    names = [_general_name(kind, value) for kind in SAN_KINDS for value in subject.sans.get(kind, ())]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer.key, hashes.SHA256())


def check_subject(subject: Subject) -> Problem | None:
    """Say why X.509 cannot hold these names, or None when it can."""
    try:
        _subject_name(subject)
        for kind in subject.sans:
            if kind not in SAN_KINDS:
                return Problem("", f"SAN kind {kind!r}", f"write {', '.join(SAN_KINDS)}")
            for value in subject.sans[kind]:
                _general_name(kind, value)
    except ConfigError as error:
        return error.problems[0]
    return None


def plain_sans(sans: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """SANs as a certificate gives them back: no empty kinds, IP addresses in their shortest form."""
    return {
        kind: tuple(_shortest_ip(value) if kind == "ip" else value for value in values)
        for kind, values in sans.items()
        if values
    }


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """The certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key: PrivateKey) -> bytes:
    """The private key as unencrypted PKCS#8 PEM, as tls-gen writes it without a password."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _validity(builder: x509.CertificateBuilder, start: float, end: float) -> x509.CertificateBuilder:
    utc = dt.UTC
    return builder.not_valid_before(dt.datetime.fromtimestamp(int(start), utc)).not_valid_after(
        dt.datetime.fromtimestamp(int(end), utc)
    )


def _subject_name(subject: Subject) -> x509.Name:
    """CN then O, the order of tls-gen's certificates, which RabbitMQ shows as `O=…,CN=…`."""
    parts = [_attribute(NameOID.COMMON_NAME, "common name", subject.cn)]
    if subject.organization is not None:
        parts.append(_attribute(NameOID.ORGANIZATION_NAME, "organization", subject.organization))
    return x509.Name(parts)


def _attribute(oid: x509.ObjectIdentifier, what: str, value: str) -> x509.NameAttribute[str]:
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise ConfigError(f"{what} {value!r} has a control character", "leave it out")
    try:
        if not value:  # which cryptography allows for an organization, and X.520 doesn't
            raise ValueError  # noqa: TRY301
        return x509.NameAttribute(oid, value)
    except ValueError as error:
        raise ConfigError(f"{what} {value!r} must have 1 to 64 bytes of UTF-8", "shorten it") from error


def _general_name(kind: str, value: str) -> x509.GeneralName:
    try:
        if not value or not value.isprintable():
            raise ValueError  # noqa: TRY301
        if kind == "ip":
            return x509.IPAddress(ipaddress.ip_address(value))
        if kind == "dns":
            return x509.DNSName(value)
        return x509.RFC822Name(value) if kind == "email" else x509.UniformResourceIdentifier(value)
    except ValueError as error:
        need = "an IP address" if kind == "ip" else "printable ASCII (write non-ASCII host names as xn--…)"
        raise ConfigError(f"SAN {kind} {value!r} must be {need}", "mend the san entry") from error


def _shortest_ip(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        return value  # `check_subject` refuses it


def _key_usage(*, sign_certificates: bool = False, encipher_keys: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        key_encipherment=encipher_keys,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_identifier(issuer: Issuer) -> x509.AuthorityKeyIdentifier:
    extensions = issuer.certificate.extensions
    try:
        identifier = extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
