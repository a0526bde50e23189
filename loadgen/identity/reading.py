"""Reading certificates that are there already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

from loadgen.errors import ConfigError
from loadgen.identity.alternative_names import sans_of
from loadgen.identity.identity import Identity
from loadgen.identity.keys import key_type_of
from loadgen.identity.names import file_stem
from loadgen.identity.subject import attributes, common_name, organization, rabbitmq_subject

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from loadgen.identity.identity import Password


def parse_certificate(content: bytes, where: Path) -> x509.Certificate:
    """Read the first certificate of a PEM file's content.

    Raises:
        ConfigError: there is none.
    """
    try:
        return x509.load_pem_x509_certificate(content)
    except ValueError as error:
        raise ConfigError(f"{where}: no certificate in PEM form", "name a certificate file") from error


def parse_chain(content: bytes, where: Path) -> list[x509.Certificate]:
    """Read all certificates of a PEM file's content, a client's own first.

    Raises:
        ConfigError: there is none.
    """
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise ConfigError(f"{where}: no certificate in PEM form", "name a certificate file") from error


def signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether this CA signed this certificate (issuer name and signature; dates are not looked at)."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def linked(chain: Sequence[x509.Certificate]) -> bool:
    """Whether each certificate of a chain is signed by the next."""
    return all(map(signed_by, chain, chain[1:]))


def leads_to(chain: Sequence[x509.Certificate], authorities: Sequence[x509.Certificate]) -> bool:
    """Whether a chain, the client's certificate first, leads to one of these CAs."""
    for position, certificate in enumerate(chain):
        if any(certificate == one or signed_by(certificate, one) for one in authorities):
            return True
        if position + 1 < len(chain) and not signed_by(certificate, chain[position + 1]):
            return False
    return False


def identity_of(
    certificate: x509.Certificate,
    certificate_path: Path,
    key_path: Path,
    name: str = "",
    *,
    columns: dict[str, str] | None = None,
    key_password: Password | None = None,
) -> Identity:
    """Read from a certificate what scenarios and the broker see of it.

    Args:
        certificate: the client's.
        certificate_path: the file it is in.
        key_path: the file of its key.
        name: stem of the file names; from the common name when empty.
        columns: of the CSV file that lists it.
        key_password: where the password of its key is kept.

    Raises:
        ConfigError: a part of the certificate cannot be read (OpenSSL doesn't know its kind of key, or an
            extension is broken).
    """
    try:
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
            certificate_file=str(certificate_path),
            key_file=str(key_path),
            key_type=key_type_of(certificate.public_key()),
            attributes=attributes(certificate.subject),
            columns={} if columns is None else columns,
            key_password=key_password,
        )
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        what = f"{certificate_path}: the certificate cannot be read: {error}"
        raise ConfigError(what, "issue it again") from error


def serial_text(number: int) -> str:
    """A serial number as `openssl x509 -serial` prints it: upper-case hexadecimal, whole bytes."""
    digits = f"{number:X}"
    return digits if len(digits) % 2 == 0 else f"0{digits}"


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of a certificate, in hexadecimal."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def path_length(certificate: x509.Certificate) -> int | None:
    """How many CAs may stand below this one; None for any number (RFC 5280 §4.2.1.9)."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
    except x509.ExtensionNotFound:
        return None


def uses_of(certificate: x509.Certificate) -> tuple[x509.ObjectIdentifier, ...]:
    """The extended key usages; empty when the extension isn't there, which allows any."""
    try:
        return tuple(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return ()


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether the certificate says that it is a CA's."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False
