"""Reading and matching certificates and keys that are there already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from loadgen.errors import ConfigError
from loadgen.identity.identity import Identity
from loadgen.identity.names import file_stem
from loadgen.identity.subject import common_name, organization, rabbitmq_subject

if TYPE_CHECKING:
    from pathlib import Path


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


def key_type_of(key: object) -> str:
    """Name the type of a key the way the scenario does: `ec-p256`, `rsa-2048` or `ed25519`."""
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey):
        return {"secp256r1": "ec-p256", "secp384r1": "ec-p384", "secp521r1": "ec-p521"}.get(
            key.curve.name, f"ec-{key.curve.name}"
        )
    if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey):
        return f"rsa-{key.key_size}"
    return type(key).__name__.removesuffix("PublicKey").removesuffix("PrivateKey").lower()


def identity_of(
    certificate: x509.Certificate, certificate_path: Path, key_path: Path, name: str = ""
) -> Identity:
    """Read from a certificate what scenarios and the broker see of it.

    Args:
        certificate: the client's.
        certificate_path: the file it is in.
        key_path: the file of its key.
        name: stem of the file names; from the common name when empty.

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
            certificate=certificate_path,
            key=key_path,
            key_type=key_type_of(certificate.public_key()),
        )
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        what = f"{certificate_path}: the certificate cannot be read: {error}"
        raise ConfigError(what, "issue it again") from error


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


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of a certificate, in hexadecimal."""
    return certificate.fingerprint(hashes.SHA256()).hex()
