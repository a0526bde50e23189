"""Revoking certificates: the list of what was revoked, and the CRLs that brokers read (RFC 5280 §5)."""

from __future__ import annotations

import datetime as dt
import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from loadgen.errors import ConfigError, Problem
from loadgen.identity import hierarchy, names, reading, storage
from loadgen.identity.keys import signing_hash
from loadgen.identity.subject import common_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from loadgen.identity.certificates import Issuer
    from loadgen.identity.identity import Password

REVOKED = "ca_revoked.json"
REASONS = tuple(flag.value for flag in x509.ReasonFlags if flag is not x509.ReasonFlags.remove_from_crl)
"""`unspecified`, `keyCompromise`…"""


@dataclass(frozen=True, slots=True)
class Revocation:
    """One revoked certificate."""

    level: int
    """Which CA issued it: 0 is the root."""
    serial: str
    """Hexadecimal."""
    common_name: str
    at: float
    """Seconds since the epoch."""
    reason: str


def revoke(
    directory: Path, files: Sequence[Path], reason: str = "unspecified", *, password: Password | None = None
) -> list[Revocation]:
    """Revoke certificates and write the CRLs anew.

    Those revoked already stay as they are. The certificates themselves stay, too: issuing again doesn't
    replace them, so that they can be shown to a broker.

    Args:
        directory: of the CA.
        files: certificates that it issued.
        reason: one of `REASONS`.
        password: of the CA's keys.

    Returns:
        What is revoked now by this call.

    Raises:
        ConfigError: files that cannot be read or were not issued here, all at once; an unknown reason.
    """
    if reason not in REASONS:
        raise ConfigError(f"reason {reason!r} is not known", f"write {', '.join(REASONS)}")
    authorities = _authorities(directory)
    found: list[Revocation] = []
    problems: list[Problem] = []
    for path in files:
        try:
            with storage.readable_errors(path):
                certificate = reading.parse_certificate(path.read_bytes(), path)
            level = next(
                (level for level, one in enumerate(authorities) if reading.signed_by(certificate, one)), None
            )
            if level is None:
                what = f"not issued by the CA in {directory}"
                problems.append(Problem(str(path), what, "name the directory of its own CA"))
                continue
            serial, cn = reading.serial_text(certificate.serial_number), common_name(certificate.subject)
            found.append(Revocation(level, serial, cn, time.time(), reason))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    with storage.exclusive(directory):
        revoked = read_revoked(directory)
        known = {(one.level, one.serial) for one in revoked}
        new = [one for one in found if (one.level, one.serial) not in known]
        content = json.dumps([asdict(one) for one in (*revoked, *new)], indent=1)
        storage.write_file(directory / REVOKED, content.encode() + b"\n", storage.PUBLIC)
    write_crls(directory, password=password)
    return new


def write_crls(
    directory: Path, *, valid_for_s: float = 30 * 86_400, password: Password | None = None
) -> list[Path]:
    """Write a CRL for the root and each intermediate, `ca_crl.pem` and `intermediate_<n>_crl.pem`.

    Args:
        directory: of the CA.
        valid_for_s: seconds until the next is due.
        password: of the CA's keys.

    Raises:
        ConfigError: the CA or the list cannot be read.
    """
    revoked = read_revoked(directory)
    written = []
    with storage.exclusive(directory):
        for level in range(len(_authorities(directory))):
            issuer = hierarchy.open_level(directory, level, password)
            crl = _crl(issuer, [one for one in revoked if one.level == level], valid_for_s)
            path = names.ca_crl(directory, level)
            storage.write_file(path, crl.public_bytes(serialization.Encoding.PEM), storage.PUBLIC)
            written.append(path)
    return written


def read_revoked(directory: Path) -> list[Revocation]:
    """What was revoked so far.

    Raises:
        ConfigError: the list is broken: a CRL without what it lists would let them in again.
    """
    path = directory / REVOKED
    try:
        with storage.readable_errors(path):
            return [Revocation(**one) for one in json.loads(path.read_bytes())]
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path}: broken", "mend it, or remove it and revoke again") from error
    except ConfigError:
        if path.exists():
            raise
        return []


def _authorities(directory: Path) -> list[x509.Certificate]:
    found = []
    for level in range(hierarchy.MOST_LEVELS + 1):
        path = names.ca_certificate(directory, level)
        if level and not path.exists():
            break
        with storage.readable_errors(path):
            found.append(reading.parse_certificate(path.read_bytes(), path))
    return found


def _crl(issuer: Issuer, revoked: Sequence[Revocation], valid_for_s: float) -> x509.CertificateRevocationList:
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(now)
        .next_update(now + dt.timedelta(seconds=valid_for_s))
        .add_extension(issuer.identifier, critical=False)
        # Must grow from one list to the next (§5.2.3); the time does.
        .add_extension(x509.CRLNumber(time.time_ns() // 1_000_000), critical=False)
    )
    for one in revoked:
        entry = (
            x509.RevokedCertificateBuilder()
            .serial_number(int(one.serial, 16))
            .revocation_date(dt.datetime.fromtimestamp(int(one.at), dt.UTC))
        )
        if one.reason != "unspecified":  # which is said by leaving it out (§5.3.1)
            entry = entry.add_extension(x509.CRLReason(x509.ReasonFlags(one.reason)), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(issuer.key, signing_hash(issuer.key))
