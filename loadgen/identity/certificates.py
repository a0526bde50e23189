"""Building, reading and matching single X.509 certificates in memory; files and policy are elsewhere."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from loadgen.errors import ConfigError
from loadgen.identity.identity import SAN_KINDS, Identity
from loadgen.identity.names import file_stem
from loadgen.identity.subject import common_name, organization, rabbitmq_subject

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

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


def key_type_of(key: object) -> str:
    """Name the type of a key the way the scenario does: `ec-p256`, `rsa-2048` or `ed25519`."""
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey):
        return {"secp256r1": "ec-p256", "secp384r1": "ec-p384", "secp521r1": "ec-p521"}.get(
            key.curve.name, f"ec-{key.curve.name}"
        )
    if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey):
        return f"rsa-{key.key_size}"
    return type(key).__name__.removesuffix("PublicKey").removesuffix("PrivateKey").lower()


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


def check_subject(subject: Subject) -> str | None:
    """Say why X.509 cannot hold these names, or None when it can."""
    try:
        _subject_name(subject)
        for kind in subject.sans:
            if kind not in SAN_KINDS:
                return f"SAN kind {kind!r} is none of {', '.join(SAN_KINDS)}"
            for value in subject.sans[kind]:
                _general_name(kind, value)
    except ConfigError as error:
        return error.what
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


def parse_certificate(content: bytes, where: Path) -> x509.Certificate:
    """Read the first certificate of a PEM file's content.

    Raises:
        ConfigError: there is none.
    """
    try:
        return x509.load_pem_x509_certificate(content)
    except ValueError as error:
        raise ConfigError(f"{where}: no certificate in PEM form", "name a certificate file") from error


def parse_key(content: bytes, where: Path) -> object:
    """Read an unencrypted private key from a PEM file's content.

    Raises:
        ConfigError: there is none, it is encrypted, or of a kind that OpenSSL doesn't know here.
    """
    try:
        return serialization.load_pem_private_key(content, password=None)
    except TypeError as error:
        mend = f"decrypt it: openssl pkey -in {where.name} -out {where.name}.plain"
        raise ConfigError(f"{where}: the private key is encrypted", mend) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{where}: no private key in PEM form", "name an unencrypted PEM key") from error


def key_matches(certificate: x509.Certificate, key: object) -> bool:
    """Whether a private key is the one the certificate was made for."""
    public = getattr(key, "public_key", None)
    return public is not None and bool(public() == certificate.public_key())


def signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether this CA signed this certificate (issuer name and signature; dates are not looked at)."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def identity_of(
    certificate: x509.Certificate, certificate_path: Path, key_path: Path, name: str = ""
) -> Identity:
    """Read from a certificate what scenarios and the broker see of it.

    Args:
        certificate: the client's.
        certificate_path: the file it is in.
        key_path: the file of its key.
        name: stem of the file names; from the common name when empty.
    """
    cn = common_name(certificate.subject)
    return Identity(
        name=name or file_stem(cn),
        cn=cn,
        serial=serial_text(certificate.serial_number),
        organization=organization(certificate.subject),
        sans=sans_of(certificate),
        subject_rabbitmq=rabbitmq_subject(certificate.subject),
        not_before=certificate.not_valid_before_utc.timestamp(),
        not_after=certificate.not_valid_after_utc.timestamp(),
        certificate=certificate_path,
        key=key_path,
        key_type=key_type_of(certificate.public_key()),
    )


def serial_text(number: int) -> str:
    """A serial number as `openssl x509 -serial` prints it: upper-case hexadecimal, whole bytes."""
    digits = f"{number:X}"
    return digits if len(digits) % 2 == 0 else f"0{digits}"


def sans_of(certificate: x509.Certificate) -> dict[str, tuple[str, ...]]:
    """The subject alternative names by kind, in the certificate's order; kinds without any are left out."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return {}
    found: dict[str, tuple[str, ...]] = {
        "dns": tuple(extension.get_values_for_type(x509.DNSName)),
        "ip": tuple(str(value) for value in extension.get_values_for_type(x509.IPAddress)),
        "email": tuple(extension.get_values_for_type(x509.RFC822Name)),
        "uri": tuple(extension.get_values_for_type(x509.UniformResourceIdentifier)),
    }
    return {kind: values for kind, values in found.items() if values}


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
