"""Building single X.509 certificates in memory; files, and what is to be issued, are elsewhere."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from loadgen.errors import ConfigError, Problem
from loadgen.identity.alternative_names import KINDS, general_name
from loadgen.identity.keys import PrivateKey, PublicKey, signing_hash
from loadgen.identity.lifetime import BACKDATED_S
from loadgen.identity.request import CLIENT_USE, SERVER_USE, Subject

if TYPE_CHECKING:
    from collections.abc import Sequence

_USES = {CLIENT_USE: ExtendedKeyUsageOID.CLIENT_AUTH, SERVER_USE: ExtendedKeyUsageOID.SERVER_AUTH}
_ATTRIBUTES = {
    "ou": (NameOID.ORGANIZATIONAL_UNIT_NAME, "organizational unit"),
    "l": (NameOID.LOCALITY_NAME, "locality"),
    "st": (NameOID.STATE_OR_PROVINCE_NAME, "state"),
    "c": (NameOID.COUNTRY_NAME, "country"),
    "serial_number": (NameOID.SERIAL_NUMBER, "serial number"),
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_UPPER_BOUND = 64  # RFC 5280 appendix A.1; ub-locality-name and ub-state-name are 128


@dataclass(frozen=True)
class Issuer:
    """A CA in memory: its certificate and private key."""

    certificate: x509.Certificate
    key: PrivateKey

    @cached_property
    def identifier(self) -> x509.AuthorityKeyIdentifier:
        """What certificates signed by it name it by; kept, because it is the same in thousands."""
        try:
            own = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        except x509.ExtensionNotFound:
            return x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)

    @cached_property
    def end(self) -> float:
        """When its certificate ends, seconds since the epoch."""
        return self.certificate.not_valid_after_utc.timestamp()


def new_authority(
    cn: str, valid_for_s: float, now: float, *, parent: Issuer | None = None, below: int = 0
) -> Issuer:
    """Make a P-256 CA.

    Args:
        cn: its common name.
        valid_for_s: seconds of validity; never longer than its parent's.
        now: seconds since the epoch.
        parent: the CA that signs it; itself when None.
        below: how many CAs may stand between it and a leaf (its path length).
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    end = now + valid_for_s if parent is None else min(now + valid_for_s, parent.end)
    builder = _validity(x509.CertificateBuilder(), now - BACKDATED_S, end)
    certificate = (
        builder.subject_name(name)
        .issuer_name(name if parent is None else parent.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=True, path_length=below), critical=True)
        .add_extension(_key_usage(sign_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
            if parent is None
            else parent.identifier,
            critical=False,
        )
        .sign(key if parent is None else parent.key, signing_hash(key if parent is None else parent.key))
    )
    return Issuer(certificate, key)


def new_leaf(
    issuer: Issuer,
    name: x509.Name,
    sans: Sequence[x509.GeneralName],
    public_key: PublicKey,
    *,
    uses: Sequence[str] = (CLIENT_USE,),
    start: float,
    end: float,
) -> x509.Certificate:
    """Sign a certificate for a client or a server; it never outlives its CA.

    Args:
        issuer: the CA.
        name: the subject, see `subject_name`.
        sans: the alternative names, see `general_names`.
        public_key: the owner's.
        uses: the extended key usage, `client_auth` and `server_auth`; empty leaves the extension out.
        start: start of validity, seconds since the epoch.
        end: end of validity.
    """
    is_rsa = isinstance(public_key, rsa.RSAPublicKey)
    builder = (
        _validity(x509.CertificateBuilder(), start, min(end, issuer.end))
        .subject_name(name)
        .issuer_name(issuer.certificate.subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            _key_usage(encipher_keys=is_rsa), critical=True
        )  # RSA key exchange exists in TLS 1.2 only
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(issuer.identifier, critical=False)
    )
    if uses:
        builder = builder.add_extension(x509.ExtendedKeyUsage([_USES[use] for use in uses]), critical=False)
    if sans:
        builder = builder.add_extension(x509.SubjectAlternativeName(sans), critical=False)
    return builder.sign(issuer.key, signing_hash(issuer.key))


def new_signing_request(subject: Subject, key: PrivateKey) -> x509.CertificateSigningRequest:
    """A PKCS#10 request for a certificate with these names (RFC 2986).

    Raises:
        ConfigError: a name that X.509 cannot hold.
    """
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject_name(subject))
    if names := general_names(subject):
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, signing_hash(key))


def general_names(subject: Subject) -> list[x509.GeneralName]:
    """The alternative names, kinds in the order of `KINDS`.

    Raises:
        ConfigError: one that its kind cannot hold.
    """
    return [general_name(kind, value) for kind in KINDS for value in subject.sans.get(kind, ())]


def check_subject(subject: Subject) -> Problem | None:
    """Say why X.509 cannot hold these names, or None when it can."""
    try:
        subject_name(subject)
        for kind in subject.sans:
            if kind not in KINDS:
                return Problem("", f"SAN kind {kind!r}", f"write {', '.join(KINDS)}")
            for value in subject.sans[kind]:
                general_name(kind, value)
    except ConfigError as error:
        return error.problems[0]
    return None


def use_numbers(uses: Sequence[str]) -> set[x509.ObjectIdentifier]:
    """The object identifiers of extended key usages."""
    return {_USES[use] for use in uses}


def certificate_pem(*certificates: x509.Certificate) -> bytes:
    """The certificate as PEM, and its chain behind it."""
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


def _validity(builder: x509.CertificateBuilder, start: float, end: float) -> x509.CertificateBuilder:
    utc = dt.UTC
    return builder.not_valid_before(dt.datetime.fromtimestamp(int(start), utc)).not_valid_after(
        dt.datetime.fromtimestamp(int(end), utc)
    )


def subject_name(subject: Subject) -> x509.Name:
    """CN then O, the order of tls-gen's certificates, which RabbitMQ shows as `O=…,CN=…`.

    Raises:
        ConfigError: a name that X.509 cannot hold.
    """
    parts = [_attribute(NameOID.COMMON_NAME, "common name", subject.cn)]
    if subject.organization is not None:
        parts.append(_attribute(NameOID.ORGANIZATION_NAME, "organization", subject.organization))
    parts += [
        _attribute(oid, what, subject.attributes[key])
        for key, (oid, what) in _ATTRIBUTES.items()
        if key in subject.attributes
    ]
    return x509.Name(parts)


def _attribute(oid: x509.ObjectIdentifier, what: str, value: str) -> x509.NameAttribute[str]:
    if _CONTROL.search(value):
        raise ConfigError(f"{what} {value!r} has a control character", "leave it out")
    if oid == NameOID.COUNTRY_NAME and not (len(value) == 2 and value.isascii() and value.isalpha()):
        raise ConfigError(f"{what} {value!r} must be two letters (ISO 3166)", "write for example DE")
    if oid == NameOID.SERIAL_NUMBER and not _is_printable_string(value):
        need = "must be letters, digits, spaces and '()+,-./:=? only (a PrintableString)"
        raise ConfigError(f"{what} {value!r} {need}", "leave the others out")
    try:
        if not value or len(value.encode()) > _UPPER_BOUND:  # cryptography allows both for some parts
            raise ValueError  # noqa: TRY301
        return x509.NameAttribute(oid, value)
    except ValueError as error:
        raise ConfigError(f"{what} {value!r} must have 1 to 64 bytes of UTF-8", "shorten it") from error


def _is_printable_string(value: str) -> bool:
    return all(one.isascii() and (one.isalnum() or one in " '()+,-./:=?") for one in value)


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
