"""What was issued for an identity set, in one file: a start reads it and not thousands of certificates.

The file is a cache and never the truth: an entry counts only while both files have the size and time of
change it names. Without it, or with a broken one, the certificates themselves are read.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from loadgen.identity import names, storage
from loadgen.identity.identity import Identity

if TYPE_CHECKING:
    from pathlib import Path

    from loadgen.identity.identity import Password
    from loadgen.identity.request import ClientRequest

_FORMAT = 2


@dataclass(frozen=True, slots=True)
class Entry:
    """One issued pair: what was asked for, what the certificate says, and how the files looked."""

    stem: str
    """The `<name>` of its files."""
    asked: list[Any]
    """`ClientRequest.asked()`."""
    serial: str
    subject_rabbitmq: str
    not_before: float
    not_after: float
    stamp: list[int]
    """Size and time of last change (ns) of the certificate, then of the key."""
    encrypted: bool = False
    """Whether the key needs a password."""

    def row(self) -> list[Any]:
        """All of it as JSON takes it."""
        return [
            self.stem,
            self.asked,
            self.serial,
            self.subject_rabbitmq,
            self.not_before,
            self.not_after,
            self.stamp,
            self.encrypted,
        ]

    @classmethod
    def from_row(cls, row: list[Any]) -> Entry:
        """Read back what `row` gave."""
        return cls(*row)

    def identity(
        self, directory: str, request: ClientRequest, now: float, key_password: Password | None = None
    ) -> Identity:
        """The identity this entry stands for; the request is the one it was issued for."""
        validity = request.validity
        certificate_file, key_file = names.client_files(self.stem)
        return Identity(
            name=self.stem,
            cn=request.cn,
            serial=self.serial,
            organization=request.organization or "",
            sans=dict(request.sans),
            subject_rabbitmq=self.subject_rabbitmq,
            not_before=self.not_before,
            not_after=self.not_after,
            certificate_file=f"{directory}/{certificate_file}",
            key_file=f"{directory}/{key_file}",
            key_type=request.key_type,
            attributes=dict(request.attributes),
            key_password=key_password,
            invalid_on_purpose=validity.not_after.at(now) <= now or validity.not_before.at(now) > now,
        )


@dataclass(slots=True)
class Manifest:
    """The entries of one set, by the stem of their file names, and the CAs that vouch for them."""

    ca_fingerprint: str
    """SHA-256 of the CA that signed them, in hexadecimal."""
    root_fingerprint: str
    """SHA-256 of the root above it."""
    entries: dict[str, Entry] = field(default_factory=dict)


def entry_of(identity: Identity, request: ClientRequest) -> Entry:
    """The entry for a pair that is on disk now."""
    return Entry(
        stem=identity.name,
        asked=request.asked(),
        serial=identity.serial,
        subject_rabbitmq=identity.subject_rabbitmq,
        not_before=identity.not_before,
        not_after=identity.not_after,
        stamp=stamp(identity.certificate_file, identity.key_file) or [],
        encrypted=identity.key_password is not None,
    )


def stamp(certificate: str, key: str) -> list[int] | None:
    """Size and time of last change of both files, or None when one is missing."""
    try:
        first, second = os.stat(certificate), os.stat(key)  # noqa: PTH116 - 100,000 times a start
    except OSError:
        return None
    return [first.st_size, first.st_mtime_ns, second.st_size, second.st_mtime_ns]


def read(path: Path) -> Manifest | None:
    """Read a manifest; None when it is missing, broken, or of another version: it is only a cache.

    What was read is kept while the file is the same: a start reads it to know what is there, and again to
    check the certificates. Don't change what this gives.
    """
    try:
        status = path.stat()
        return _read(path, status.st_mtime_ns, status.st_size)
    except (OSError, ValueError, TypeError, KeyError, IndexError):
        return None


@lru_cache(maxsize=4)
def _read(path: Path, _mtime_ns: int, _size: int) -> Manifest | None:
    document: dict[str, Any] = json.loads(path.read_bytes())
    if document["format"] != _FORMAT:
        return None
    entries = {row[0]: Entry.from_row(row) for row in document["identities"]}
    return Manifest(str(document["ca_fingerprint"]), str(document["root_fingerprint"]), entries)


def write(path: Path, manifest: Manifest) -> None:
    """Write a manifest; call it inside `storage.exclusive`.

    Raises:
        ConfigError: the file cannot be written.
    """
    head = json.dumps(
        {
            "format": _FORMAT,
            "ca_fingerprint": manifest.ca_fingerprint,
            "root_fingerprint": manifest.root_fingerprint,
        }
    )
    # One identity a line: people can read and grep it.
    entries = ",\n".join(json.dumps(entry.row()) for entry in manifest.entries.values())
    storage.write_file(path, f'{head[:-1]}, "identities": [\n{entries}\n]}}\n'.encode(), storage.PUBLIC)
