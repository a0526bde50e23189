"""What a certificate says, in the words of brokers and scenarios, for people and programs to read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from loadgen.errors import ConfigError
from loadgen.identity import names, reading, storage
from loadgen.identity.subject import rabbitmq_subject

if TYPE_CHECKING:
    from pathlib import Path

_USAGES = {
    ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth",
    ExtendedKeyUsageOID.SERVER_AUTH: "serverAuth",
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE: "any",
}


@dataclass(frozen=True, slots=True)
class Description:
    """One certificate, as `loadgen certs inspect` shows it."""

    file: str
    common_name: str
    """RabbitMQ's user name with `ssl_cert_login_from = common_name`."""
    distinguished_name: str
    """RabbitMQ's user name with `distinguished_name`, and its `peer_cert_subject`."""
    issuer: str
    serial: str
    sans: dict[str, tuple[str, ...]]
    not_before: str
    """ISO 8601, UTC."""
    not_after: str
    """ISO 8601, UTC."""
    key_type: str
    usages: tuple[str, ...]
    """`CA`, `clientAuth`, `serverAuth` or the number of another use; empty means any."""
    fingerprint: str
    """SHA-256, hexadecimal."""
    key: str | None
    """The key file beside it, if there is one; its content is never shown."""


def describe(path: Path) -> Description:
    """Read the first certificate of a PEM file.

    Raises:
        ConfigError: there is none, or it cannot be read.
    """
    with storage.readable_errors(path):
        content = path.read_bytes()
    certificate = reading.parse_certificate(content, path)
    key = names.key_beside(path)
    identity = reading.identity_of(certificate, path, key)
    return Description(
        file=str(path),
        common_name=identity.cn,
        distinguished_name=identity.subject_rabbitmq,
        issuer=rabbitmq_subject(certificate.issuer),
        serial=identity.serial,
        sans=identity.sans,
        not_before=_iso(identity.not_before),
        not_after=_iso(identity.not_after),
        key_type=identity.key_type,
        usages=_usages(certificate),
        fingerprint=reading.fingerprint(certificate),
        key=str(key) if key != path and key.exists() else None,
    )


def certificate_files(path: Path) -> list[Path]:
    """The file itself, or all certificates in a directory (`*_certificate.pem`), sorted by name.

    Raises:
        ConfigError: the directory cannot be read or has no certificate in it.
    """
    if not path.is_dir():
        return [path]
    with storage.readable_errors(path):
        found = sorted(entry for entry in path.iterdir() if names.is_certificate(entry.name))
    if not found:
        raise ConfigError(f"{path}: no *_certificate.pem in it", "name a certificate file or its directory")
    return found


def _usages(certificate: x509.Certificate) -> tuple[str, ...]:
    found = []
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.BasicConstraints) and extension.value.ca:
            found.append("CA")
        if isinstance(extension.value, x509.ExtendedKeyUsage):
            found += [_USAGES.get(usage, usage.dotted_string) for usage in extension.value]
    return tuple(found)


def _iso(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}"
