"""A set of identities that we issue: what fits is kept, and only what doesn't is issued."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from loadgen.errors import ConfigError
from loadgen.identity import manifest, names, reading, storage
from loadgen.identity.alternative_names import plain_sans
from loadgen.identity.authority import Authority
from loadgen.identity.issuing import issue_many
from loadgen.identity.lifetime import DAY_S
from loadgen.identity.refusals import refuse_bad_subjects, refuse_same_names
from loadgen.identity.request import ClientRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from loadgen.identity.authority import Progress
    from loadgen.identity.identity import Identity, Password


@dataclass(frozen=True, slots=True)
class Place:
    """Where a set is, and what it takes to write there."""

    out: Path
    """Directory of the CA and of all files; made, with a new CA, when it isn't there."""
    intermediates: int = 0
    """How many CAs stand between the root and the clients."""
    ca_password: Password | None = None
    """Of the CA's keys."""
    key_password: Password | None = None
    """For the clients' keys; None leaves them unencrypted."""


def issue_set(
    set_name: str,
    count: int,
    common_name: Callable[[int], str],
    sans: Callable[[int], Mapping[str, tuple[str, ...]]] | None = None,
    *,
    out: Path,
    organization: str | None = "client",
    key: str = "ec-p256",
    valid_for_s: int = 365 * DAY_S,
    progress: Progress | None = None,
) -> list[Identity]:
    """Have `count` client certificates that fit; `issue_requests` for the usual wishes.

    Args:
        set_name: name of the identity set, and of its manifest `<out>/<set>.manifest.json`.
        count: how many; the indices are 0 … count - 1.
        common_name: index → common name; all must differ.
        sans: index → subject alternative names by kind (`alternative_names.KINDS`).
        out: directory of the CA and of all files; made, with a new CA, when it isn't there.
        organization: the O of every subject; None leaves it out.
        key: one of `keys.KEY_TYPES`.
        valid_for_s: seconds of validity of a certificate that is issued now.
        progress: called with (done, to do) while issuing.

    Returns:
        The identities in the order of their index.

    Raises:
        ConfigError: as `issue_requests`.
    """
    requests = [
        ClientRequest(common_name(index), sans(index) if sans else {}, organization, key, valid_for_s)
        for index in range(count)
    ]
    return issue_requests(set_name, requests, Place(out), progress)


def issue_requests(
    set_name: str, requests: Sequence[ClientRequest], place: Place, progress: Progress | None = None
) -> list[Identity]:
    """Have client certificates that fit; issue those that are missing, changed or about to expire.

    When all are there, only the manifest, the CA certificate and the files' times are read: nothing is
    written, and the CA's key is not needed. When two sets want different certificates with the same common
    name in the same directory, the later one replaces the other's, and `check_identities` finds it.

    Args:
        set_name: name of the identity set, and of its manifest `<out>/<set>.manifest.json`.
        requests: what is wanted.
        place: the directory and its passwords.
        progress: called with (done, to do) while issuing.

    Returns:
        The identities in the order of the requests.

    Raises:
        ConfigError: names that X.509 cannot hold or that come twice (all at once, before anything is
            written), or files that cannot be read or written.
    """
    wanted = {}
    for request in requests:
        # As the certificate will give them back, so that what was asked and what is there can be compared.
        plain = replace(request, sans=plain_sans(request.sans)) if request.sans else request
        wanted[names.file_stem(request.cn)] = plain
    now = time.time()
    path = names.manifest(place.out, set_name)
    known = _known(path, place)
    if known is not None:
        out = str(place.out)
        ready = [_current(known, place, out, stem, request, now=now) for stem, request in wanted.items()]
        if None not in ready:
            refuse_same_names([request.cn for request in requests])
            return [identity for identity in ready if identity is not None]
    refuse_bad_subjects([request.subject for request in requests])
    refuse_same_names([request.cn for request in requests])
    authority = Authority.ensure(place.out, intermediates=place.intermediates, password=place.ca_password)
    with storage.exclusive(place.out) as lock:
        return _complete(authority, path, place, wanted, lock=lock, progress=progress)


def _known(path: Path, place: Place) -> manifest.Manifest | None:
    """The set's manifest, if the CA in the directory is still the one that signed what it lists."""
    known = manifest.read(path)
    if known is None:
        return None
    for level, fingerprint in ((0, known.root_fingerprint), (place.intermediates, known.ca_fingerprint)):
        ca = names.ca_certificate(place.out, level)
        try:
            authority = reading.parse_certificate(ca.read_bytes(), ca)
        except (OSError, ConfigError):
            return None
        if reading.fingerprint(authority) != fingerprint:
            return None
    return known


def _current(
    known: manifest.Manifest, place: Place, out: str, stem: str, request: ClientRequest, *, now: float
) -> Identity | None:
    """The identity when the manifest has it as requested, the files are as it left them, and it lasts."""
    entry = known.entries.get(stem)
    if (
        entry is None
        or entry.asked != request.asked()
        or entry.encrypted != (place.key_password is not None)
        or request.validity.due(entry.not_before, entry.not_after, now)
    ):
        return None
    identity = entry.identity(out, request, now, place.key_password)
    unchanged = manifest.stamp(identity.certificate_file, identity.key_file) == entry.stamp
    return identity if unchanged else None


def _complete(
    authority: Authority,
    path: Path,
    place: Place,
    wanted: Mapping[str, ClientRequest],
    *,
    lock: int,
    progress: Progress | None,
) -> list[Identity]:
    """Issue what is not current; under the lock, so what another process has just issued is seen and kept."""
    now = time.time()
    out = str(place.out)
    known = _known(path, place)
    result = manifest.Manifest(authority.fingerprint, authority.root_fingerprint)
    if known is not None:
        result.entries.update(known.entries)
    missing = []
    for stem, request in wanted.items():
        if known is not None and _current(known, place, out, stem, request, now=now) is not None:
            continue
        entry = _adopt(authority, place, stem, request)
        if entry is None:
            missing.append(request)
        else:
            result.entries[stem] = entry
    done = 0
    try:
        for entry in issue_many(
            authority, missing, lock=lock, ca_password=place.ca_password, key_password=place.key_password
        ):
            result.entries[entry.stem] = entry
            done += 1
            if progress is not None:
                progress(done, len(missing))
    finally:
        # Also after Ctrl-C: what has been issued is listed.
        manifest.write(path, result)
    return [
        result.entries[stem].identity(out, request, now, place.key_password)
        for stem, request in wanted.items()
    ]


def _adopt(authority: Authority, place: Place, stem: str, request: ClientRequest) -> manifest.Entry | None:
    """Keep a pair that fits though the manifest doesn't list it: copied, or of an issue that was killed."""
    certificate_path, key_path = names.client_certificate(place.out, stem), names.client_key(place.out, stem)
    certificate = authority.fits(request, certificate_path, key_path, place.key_password)
    if certificate is None:
        return None
    identity = reading.identity_of(
        certificate, certificate_path, key_path, stem, key_password=place.key_password
    )
    return manifest.entry_of(identity, request)
