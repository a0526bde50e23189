"""The identities of a scenario: a set that we issue, or a directory of certificates made elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from loadgen.errors import ConfigError
from loadgen.identity import certificates, manifest, names, reading, storage
from loadgen.identity.authority import DAY_S, Authority, ClientRequest
from loadgen.identity.lifetime import expires_soon
from loadgen.identity.refusals import refuse_bad_subjects, refuse_same_names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from loadgen.errors import Problem
    from loadgen.identity.authority import Progress
    from loadgen.identity.identity import Identity


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
    """Have `count` client certificates that fit; issue those that are missing, changed or about to expire.

    When all are there, only the manifest, the CA certificate and the files' times are read: nothing is
    written, and the CA's key is not needed. When two sets want different certificates with the same common
    name in the same directory, the later one replaces the other's, and `check_identities` finds it.

    Args:
        set_name: name of the identity set, and of its manifest `<out>/<set>.manifest.json`.
        count: how many; the indices are 0 … count - 1.
        common_name: index → common name; all must differ.
        sans: index → subject alternative names by kind (`dns`, `ip`, `email`, `uri`).
        out: directory of the CA and of all files; made, with a new CA, when it isn't there.
        organization: the O of every subject; None leaves it out.
        key: `ec-p256` or `rsa-2048`.
        valid_for_s: seconds of validity of a certificate that is issued now.
        progress: called with (done, to do) while issuing.

    Returns:
        The identities in the order of their index.

    Raises:
        ConfigError: names that X.509 cannot hold or that come twice (all at once, before anything is
            written), or files that cannot be read or written.
    """
    requests = [
        ClientRequest(
            common_name(index),
            certificates.plain_sans(sans(index) if sans else {}),
            organization,
            key,
            valid_for_s,
        )
        for index in range(count)
    ]
    stems = [names.file_stem(request.cn) for request in requests]
    path = names.manifest(out, set_name)
    known = _known(path, out)
    ready = [_current(known, out, stem, request) for stem, request in zip(stems, requests, strict=True)]
    if None not in ready:
        refuse_same_names(stems)
        return [identity for identity in ready if identity is not None]
    refuse_bad_subjects([certificates.Subject(r.cn, r.organization, r.sans) for r in requests])
    refuse_same_names([request.cn for request in requests])
    authority = Authority.ensure(out)
    with storage.exclusive(out):
        return _complete(authority, path, dict(zip(stems, requests, strict=True)), progress)


def read_directory(path: Path, only: Sequence[str] | None = None) -> list[Identity]:
    """Read a directory of client certificates in tls-gen's layout.

    Args:
        path: has `client_<name>_certificate.pem` and `client_<name>_key.pem`.
        only: the names to take, in this order, as common names or as they stand in the file names; all
            pairs, sorted by name, when None.

    Raises:
        ConfigError: every pair that is half, unreadable or missing, at once.
    """
    with storage.readable_errors(path):
        files = sorted(entry.name for entry in path.iterdir())
    with_certificate = [
        stem for file in files if (stem := names.client_stem_of_certificate(file)) is not None
    ]
    with_key = {stem for file in files if (stem := names.client_stem_of_key(file)) is not None}
    wanted = (
        sorted(set(with_certificate) | with_key) if only is None else _resolve(only, set(with_certificate))
    )
    identities: list[Identity] = []
    problems: list[Problem] = []
    for stem in wanted:
        certificate_path, key_path = names.client_certificate(path, stem), names.client_key(path, stem)
        try:
            with storage.readable_errors(certificate_path):
                content = certificate_path.read_bytes()
            if stem not in with_key:
                with storage.readable_errors(key_path):
                    key_path.stat()
            certificate = reading.parse_certificate(content, certificate_path)
            identities.append(reading.identity_of(certificate, certificate_path, key_path, stem))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    if not identities:
        what = f"{path}: no client_<name>_certificate.pem in it"
        raise ConfigError(what, "name a directory made by tls-gen or `loadgen certs issue`")
    return identities


def _resolve(only: Sequence[str], available: set[str]) -> list[str]:
    return [name if name in available else names.file_stem(name) for name in only]


def _known(path: Path, out: Path) -> manifest.Manifest | None:
    """The set's manifest, if the CA in the directory is still the one that signed what it lists."""
    known = manifest.read(path)
    if known is None:
        return None
    ca = out / names.CA_CERTIFICATE
    try:
        authority = reading.parse_certificate(ca.read_bytes(), ca)
    except (OSError, ConfigError):
        return None
    return known if reading.fingerprint(authority) == known.ca_fingerprint else None


def _current(
    known: manifest.Manifest | None, out: Path, stem: str, request: ClientRequest
) -> Identity | None:
    """The identity when the manifest has it as requested, the files are as it left them, and it lasts."""
    entry = known.entries.get(stem) if known is not None else None
    if (
        entry is None
        or not _same(entry, request)
        or expires_soon(entry.not_before, entry.not_after, time.time())
    ):
        return None
    identity = entry.identity(out, stem)
    return identity if manifest.stamp(identity.certificate, identity.key) == entry.stamp else None


def _same(entry: manifest.Entry, request: ClientRequest) -> bool:
    return (
        entry.cn == request.cn
        and entry.asked_organization == request.organization
        and entry.key_type == request.key_type
        and entry.valid_for_s == request.valid_for_s
        and {kind: tuple(values) for kind, values in entry.sans.items()} == dict(request.sans)
    )


def _complete(
    authority: Authority, path: Path, wanted: Mapping[str, ClientRequest], progress: Progress | None
) -> list[Identity]:
    """Issue what is not current; under the lock, so what another process has just issued is seen and kept."""
    out = authority.directory
    known = _known(path, out)
    result = known or manifest.Manifest(authority.fingerprint)
    ready: dict[str, Identity] = {}
    for stem, request in wanted.items():
        identity = _current(known, out, stem, request) or _adopt(authority, stem, request)
        if identity is not None:
            ready[stem] = identity
    missing = {stem: request for stem, request in wanted.items() if stem not in ready}
    try:
        for position, (stem, request) in enumerate(missing.items(), 1):
            ready[stem] = authority.issue_locked([request])[0]
            if progress is not None:
                progress(position, len(missing))
    finally:
        # Also after Ctrl-C: what has been issued is listed.
        for stem, identity in ready.items():
            request = wanted[stem]
            result.entries[stem] = manifest.entry_of(identity, request.organization, request.valid_for_s)
        manifest.write(path, result)
    return [ready[stem] for stem in wanted]


def _adopt(authority: Authority, stem: str, request: ClientRequest) -> Identity | None:
    """Keep a pair that fits though the manifest doesn't list it: copied, or of an issue that was killed."""
    out = authority.directory
    certificate_path, key_path = names.client_certificate(out, stem), names.client_key(out, stem)
    subject = certificates.Subject(request.cn, request.organization, request.sans)
    certificate = authority.fits(subject, request.key_type, certificate_path, key_path, request.valid_for_s)
    if certificate is None:
        return None
    return reading.identity_of(certificate, certificate_path, key_path, stem)
