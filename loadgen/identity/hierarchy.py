"""The CAs of a directory: a root, and intermediates below it when they are asked for."""

from __future__ import annotations

import datetime as dt
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loadgen.errors import ConfigError
from loadgen.identity import certificates, keys, names, reading, storage
from loadgen.identity.certificates import Issuer
from loadgen.identity.lifetime import DAY_S

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography import x509

    from loadgen.identity.identity import Password

MOST_LEVELS = 5


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """The CA that signs, and the certificates that lead from it to the root."""

    issuer: Issuer
    chain: tuple[x509.Certificate, ...] = ()
    """The intermediates, the one that signs first; the root isn't among them. Empty when the root signs."""
    root: x509.Certificate | None = None
    """None when the root signs."""

    @property
    def trusted(self) -> x509.Certificate:
        """The root, which brokers trust."""
        return self.root or self.issuer.certificate


def make_root(directory: Path, valid_for_s: float, below: int, password: Password | None) -> Hierarchy:
    """Make a root CA and write it; call it inside `storage.exclusive`."""
    stamp = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    # Two CAs must not have the same subject, or OpenSSL may pick the wrong one of a bundle.
    cn = f"loadgen throw-away CA {stamp} {secrets.token_hex(4)}"
    issuer = certificates.new_authority(cn, valid_for_s, time.time(), below=below)
    _write(directory, 0, issuer, password)
    return Hierarchy(issuer)


def open_level(directory: Path, level: int, password: Password | None) -> Issuer:
    """Read a CA's certificate and key.

    Raises:
        ConfigError: not there, not readable, not a pair, encrypted without a password, or at its end.
    """
    certificate_path, key_path = names.ca_certificate(directory, level), names.ca_key(directory, level)
    with storage.readable_errors(certificate_path):
        certificate_content = certificate_path.read_bytes()
    if not key_path.exists():
        mend = "bring the key back, or remove everything in the directory to begin with a new CA"
        raise ConfigError(f"{key_path}: the CA's private key is not there, so nothing can be issued", mend)
    with storage.readable_errors(key_path):
        key_content = key_path.read_bytes()
    certificate = reading.parse_certificate(certificate_content, certificate_path)
    key = keys.parse_key(key_content, key_path, password.reveal() if password is not None else None)
    if not keys.key_matches(certificate, key):
        raise ConfigError(
            f"{key_path} is not the key of {certificate_path.name}", "bring back the right pair"
        )
    if not isinstance(key, keys.PrivateKey):
        raise ConfigError(f"{key_path}: a CA key must be EC, RSA or Ed25519", "name another directory")
    if certificate.not_valid_after_utc.timestamp() <= time.time() + DAY_S:
        until = f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M}Z"
        mend = "remove it and what it signed, issue again and restart the brokers that trust it"
        raise ConfigError(f"{certificate_path}: the CA is valid only until {until}", mend)
    return Issuer(certificate, key)


def descend(directory: Path, root: Issuer, levels: int, password: Password | None) -> Hierarchy:
    """Open the intermediates below a root, or make those that aren't there; inside `storage.exclusive`.

    Raises:
        ConfigError: the root may not have so many CAs below it, or an intermediate cannot be opened.
    """
    _refuse_short_path(directory, root, levels)
    issuer = root
    chain: list[x509.Certificate] = []
    for level in range(1, levels + 1):
        path = names.ca_certificate(directory, level)
        if path.exists() and reading.signed_by(
            reading.parse_certificate(path.read_bytes(), path), issuer.certificate
        ):
            issuer = open_level(directory, level, password)
        else:  # missing, or of a root that has been replaced
            cn = f"loadgen throw-away intermediate {level} {secrets.token_hex(4)}"
            life = root.end - time.time()
            issuer = certificates.new_authority(cn, life, time.time(), parent=issuer, below=levels - level)
            _write(directory, level, issuer, password)
        chain.insert(0, issuer.certificate)
    return Hierarchy(issuer, tuple(chain), root.certificate if levels else None)


def _refuse_short_path(directory: Path, root: Issuer, levels: int) -> None:
    limit = reading.path_length(root.certificate)
    if limit is not None and levels > limit:
        raise ConfigError(
            f"{names.ca_certificate(directory, 0)}: this CA may have {limit} intermediates below it, "
            f"not {levels}",
            "name another out directory, or remove everything in this one to begin with a new CA",
        )


def _write(directory: Path, level: int, issuer: Issuer, password: Password | None) -> None:
    storage.write_pair(
        names.ca_certificate(directory, level),
        names.ca_key(directory, level),
        certificates.certificate_pem(issuer.certificate),
        keys.key_pem(issuer.key, password.reveal() if password is not None else None),
    )
