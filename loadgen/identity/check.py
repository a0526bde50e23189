"""What is wrong with the certificates of a run, found before any socket opens."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from loadgen.errors import ConfigError, Problem
from loadgen.identity import keys, manifest, names, reading, storage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from loadgen.identity.identity import Identity

_OTHERS = 0o007
_ISSUE_AGAIN = "issue it again: `loadgen certs issue`"


@dataclass(frozen=True, slots=True)
class _Kind:
    """One way in which a certificate can be wrong; thousands of the same kind become one problem."""

    mend: str
    warning: bool = False


_EXPIRED = _Kind(_ISSUE_AGAIN)
_NOT_YET = _Kind("set this machine's clock, or issue it again")
_MISMATCH = _Kind("bring back the key that belongs to it, or " + _ISSUE_AGAIN)
_ON_PURPOSE = _Kind("right if the broker is to refuse it", warning=True)
_BROKEN_CHAIN = _Kind("put the intermediate CAs behind the certificate, each before the one that signed it")
_NO_CLIENT_USE = _Kind("issue it with the extended key usage clientAuth", warning=True)
_OTHER_CA = _Kind("right if the broker trusts another CA for its clients", warning=True)
_WRONG_CA = _Kind("name the CA that signed it, or issue it again")
_REPLACED = _Kind("give each identity set common names or an `out` directory of its own")
_OPEN_KEY = _Kind("chmod 600 it", warning=True)


@dataclass(slots=True)
class _Findings:
    """What was found, in the order of first sight."""

    by_kind: dict[_Kind, list[tuple[Path, str]]] = field(default_factory=lambda: defaultdict(list))

    def add(self, kind: _Kind, where: Path, what: str) -> None:
        self.by_kind[kind].append((where, what))

    def add_error(self, where: Path, error: ConfigError) -> None:
        for problem in error.problems:
            self.add(_Kind(problem.mend), where, problem.what.removeprefix(f"{where}: "))

    def problems(self) -> list[Problem]:
        found = []
        for kind, places in self.by_kind.items():
            where, what = places[0]
            more = f", and {len(places) - 1} more like it" if len(places) > 1 else ""
            found.append(Problem(str(where), what + more, kind.mend, kind.warning))
        return sorted(found, key=lambda problem: problem.warning)


def check_identities(
    identities: Iterable[Identity], ca: Path | None = None, now: float | None = None
) -> list[Problem]:
    """Find what will keep these identities from connecting, and what is unwise about them.

    Errors: a CA file that is missing, no PEM or expired; a certificate or key that is missing, no PEM,
    expired or not yet valid; a key that is another certificate's, or whose password is missing; a chain whose
    links do not hold. Warnings: a key that others may read, a certificate of another CA (the broker judges
    that), not meant for clients, or outside its validity because it was asked to be so. Pairs that a manifest
    vouches for are not parsed again (2,000: 0.1 s).

    Args:
        identities: the clients'.
        ca: the scenario's `tls.ca`.
        now: seconds since the epoch; this moment when None.

    Returns:
        Errors first; one problem for each kind, which names the first file and counts the others.
    """
    now = time.time() if now is None else now
    authorities, problems = _authorities(ca, now)
    trusted = {reading.fingerprint(authority) for authority in authorities}
    vouched = _Vouched()
    findings = _Findings()
    for identity in identities:
        _check_validity(identity, now, findings)
        signer = vouched.signer(identity)
        if signer is None:
            _check_pair(identity, authorities, findings)
        elif trusted and signer not in trusted:
            findings.add(_OTHER_CA, identity.certificate, f"not signed by {ca}")
        _check_mode(identity.key_file, findings)
    return problems + findings.problems()


def check_trust(identities: Iterable[Identity], ca: Path) -> list[Problem]:
    """Find certificates that do not lead to a CA which the brokers are known to trust.

    Args:
        identities: the clients'; their files hold the intermediates, too.
        ca: PEM file of the CAs that the brokers trust.
    """
    authorities, problems = _authorities(ca, time.time())
    findings = _Findings()
    for identity in identities if not problems else ():
        try:
            chain = reading.parse_chain(identity.certificate.read_bytes(), identity.certificate)
        except (OSError, ConfigError):
            continue  # told by `check_identities`
        if not reading.leads_to(chain, authorities):
            findings.add(_WRONG_CA, identity.certificate, f"not signed by {ca}")
    return problems + findings.problems()


def check_authorities(ca: Path | None, now: float | None = None) -> list[Problem]:
    """Find what is wrong with a file of CA certificates: missing, no PEM, all expired, or none a CA."""
    return _authorities(ca, time.time() if now is None else now)[1]


def check_file(path: Path, ca: Path | None = None, now: float | None = None) -> list[Problem]:
    """Find what is wrong with one certificate, of a client, a server or a CA, and with the key beside it.

    Args:
        path: the certificate; `X_key.pem` beside `X_certificate.pem` is looked at too.
        ca: who must have signed it: any other signer is an error here.
        now: seconds since the epoch; this moment when None.

    Returns:
        Errors first.
    """
    now = time.time() if now is None else now
    authorities, problems = _authorities(ca, now)
    findings = _Findings()
    key = names.key_beside(path)
    try:
        with storage.readable_errors(path):
            content = path.read_bytes()
        chain = reading.parse_chain(content, path)
        identity = reading.identity_of(chain[0], path, key)
        _check_validity(identity, now, findings)
        if authorities and not reading.leads_to(chain, authorities):
            findings.add(_WRONG_CA, path, f"not signed by {ca}")
        if key.exists() and key != path:
            _check_pair(
                identity, (), findings, client=names.client_stem_of_certificate(path.name) is not None
            )
            _check_mode(str(key), findings)
    except ConfigError as error:
        findings.add_error(path, error)
    return problems + findings.problems()


class _Vouched:
    """Which pairs are as their set's manifest describes them, and the root above them."""

    def __init__(self) -> None:
        self._read: dict[str, list[manifest.Manifest]] = {}
        self._unread: dict[str, list[Path]] = {}
        """The largest first. A directory may hold the manifest of a fleet of 50,000 beside that of five: it
        is read (0.5 s, 70 MB) only for pairs that no smaller one has."""

    def signer(self, identity: Identity) -> str | None:
        """Fingerprint of the root, or None when no manifest vouches for the pair."""
        directory = os.path.dirname(identity.certificate_file)  # noqa: PTH120 - much quicker, 50,000 times
        if directory not in self._read:
            found = Path(directory).glob("*.manifest.json")
            self._unread[directory] = sorted(found, key=lambda path: path.stat().st_size, reverse=True)
            self._read[directory] = []
        known, unread = self._read[directory], self._unread[directory]
        for one in known:
            if _vouches(one, identity):
                return one.root_fingerprint
        while unread:
            another = manifest.read(unread.pop())
            if another is not None:
                known.append(another)
                if _vouches(another, identity):
                    return another.root_fingerprint
        return None


def _vouches(known: manifest.Manifest, identity: Identity) -> bool:
    entry = known.entries.get(identity.name)
    return (
        entry is not None
        and entry.serial == identity.serial
        and entry.stamp == manifest.stamp(identity.certificate_file, identity.key_file)
    )


def _authorities(ca: Path | None, now: float) -> tuple[list[x509.Certificate], list[Problem]]:
    if ca is None:
        return [], []
    mend = "name the broker's ca_certificate.pem as tls.ca"
    try:
        found = x509.load_pem_x509_certificates(ca.read_bytes())
    except OSError as error:
        return [], [Problem(str(ca), f"CA file cannot be read: {error.strerror or error}", mend)]
    except ValueError:
        return [], [Problem(str(ca), "no CA certificate in PEM form", mend)]
    valid = [one for one in found if _start(one) <= now < _end(one)]
    if not valid:
        last = max(found, key=_end)
        state = "has expired" if _end(last) <= now else "is not yet valid"
        what = f"the CA certificate {state} ({_date(_start(last))} to {_date(_end(last))})"
        return found, [Problem(str(ca), what, "make a new CA and give it to the broker")]
    if not any(_may_sign(one) for one in valid):
        what = "the certificate in it is not a CA's"
        return found, [Problem(str(ca), what, mend, warning=True)]
    return found, []


def _check_validity(identity: Identity, now: float, findings: _Findings) -> None:
    if identity.not_after <= now:
        kind = _ON_PURPOSE if identity.invalid_on_purpose else _EXPIRED
        findings.add(kind, identity.certificate, f"the certificate expired on {_date(identity.not_after)}")
    elif identity.not_before > now:
        what = f"not valid before {_date(identity.not_before)}"
        findings.add(_ON_PURPOSE if identity.invalid_on_purpose else _NOT_YET, identity.certificate, what)


def _check_pair(
    identity: Identity,
    authorities: Sequence[x509.Certificate],
    findings: _Findings,
    *,
    client: bool = True,
) -> None:
    path = identity.certificate
    try:
        with storage.readable_errors(path):
            content = path.read_bytes()
        chain = reading.parse_chain(content, path)
        certificate = chain[0]
        path = identity.key
        with storage.readable_errors(path):
            content = path.read_bytes()
        password = identity.key_password.reveal() if identity.key_password is not None else None
        key = keys.parse_key(content, path, password)
    except ConfigError as error:
        findings.add_error(path, error)
        return
    if reading.serial_text(certificate.serial_number) != identity.serial:
        what = f"another certificate for {identity.cn!r} has taken its place"
        findings.add(_REPLACED, identity.certificate, what)
    if not keys.key_matches(certificate, key):
        what = f"the key is not that of {identity.certificate.name}"
        findings.add(_MISMATCH, identity.key, what)
    if not reading.linked(chain):
        findings.add(_BROKEN_CHAIN, identity.certificate, "the certificates in it are no chain")
    elif authorities and not reading.leads_to(chain, authorities):
        findings.add(_OTHER_CA, identity.certificate, "not signed by the CA of the scenario")
    if client and not _for_clients(certificate):
        findings.add(_NO_CLIENT_USE, identity.certificate, "the certificate is not meant for clients")


def _check_mode(key: str, findings: _Findings) -> None:
    try:
        mode = os.stat(key).st_mode  # noqa: PTH116 - much quicker, 50,000 times
    except OSError:
        return  # already found
    if mode & _OTHERS:
        findings.add(_OPEN_KEY, Path(key), f"the private key is open to everyone (mode {mode & 0o777:03o})")


def _for_clients(certificate: x509.Certificate) -> bool:
    """A certificate without the extension may be used for anything (RFC 5280 §4.2.1.12)."""
    uses = reading.uses_of(certificate)
    any_use = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE
    return not uses or ExtendedKeyUsageOID.CLIENT_AUTH in uses or any_use in uses


def _may_sign(certificate: x509.Certificate) -> bool:
    return reading.is_authority(certificate) or certificate.version is x509.Version.v1


def _start(certificate: x509.Certificate) -> float:
    return certificate.not_valid_before_utc.timestamp()


def _end(certificate: x509.Certificate) -> float:
    return certificate.not_valid_after_utc.timestamp()


def _date(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M}Z"
