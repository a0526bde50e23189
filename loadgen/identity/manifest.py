"""What was issued for an identity set, in one file: a start reads it and not thousands of certificates.

The file is a cache and never the truth: an entry counts only while both files have the size and time of
change it names. Without it, or with a broken one, the certificates themselves are read.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from loadgen.identity import names, storage
from loadgen.identity.identity import Identity

if TYPE_CHECKING:
    from pathlib import Path

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One issued pair: what was asked for, what the certificate says, and how the files looked."""

    cn: str
    asked_organization: str | None
    sans: dict[str, list[str]]
    key_type: str
    valid_for_s: int
    serial: str
    subject_rabbitmq: str
    not_before: float
    not_after: float
    stamp: list[int]
    """Size and time of last change (ns) of the certificate, then of the key."""

    def identity(self, directory: Path, stem: str) -> Identity:
        """The identity this entry stands for."""
        return Identity(
            name=stem,
            cn=self.cn,
            serial=self.serial,
            organization=self.asked_organization or "",
            sans={kind: tuple(values) for kind, values in self.sans.items()},
            subject_rabbitmq=self.subject_rabbitmq,
            not_before=self.not_before,
            not_after=self.not_after,
            certificate=names.client_certificate(directory, stem),
            key=names.client_key(directory, stem),
            key_type=self.key_type,
        )


@dataclass(slots=True)
class Manifest:
    """The entries of one set, by the stem of their file names, and the CA that signed them."""

    ca_fingerprint: str
    entries: dict[str, Entry] = field(default_factory=dict)


def entry_of(identity: Identity, organization: str | None, valid_for_s: int) -> Entry:
    """The entry for a pair that is on disk now."""
    return Entry(
        cn=identity.cn,
        asked_organization=organization,
        sans={kind: list(values) for kind, values in identity.sans.items()},
        key_type=identity.key_type,
        valid_for_s=valid_for_s,
        serial=identity.serial,
        subject_rabbitmq=identity.subject_rabbitmq,
        not_before=identity.not_before,
        not_after=identity.not_after,
        stamp=stamp(identity.certificate, identity.key) or [],
    )


def stamp(certificate: Path, key: Path) -> list[int] | None:
    """Size and time of last change of both files, or None when one is missing."""
    try:
        first, second = certificate.stat(), key.stat()
    except OSError:
        return None
    return [first.st_size, first.st_mtime_ns, second.st_size, second.st_mtime_ns]


def read(path: Path) -> Manifest | None:
    """Read a manifest; None when it is missing, broken, or of another version: it is only a cache."""
    try:
        document: dict[str, Any] = json.loads(path.read_bytes())
        if document["format"] != _FORMAT:
            return None
        entries = {stem: Entry(**entry) for stem, entry in document["identities"].items()}
        return Manifest(str(document["ca_fingerprint"]), entries)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def write(path: Path, manifest: Manifest) -> None:
    """Write a manifest; call it inside `storage.exclusive`.

    Raises:
        ConfigError: the file cannot be written.
    """
    head = json.dumps({"format": _FORMAT, "ca_fingerprint": manifest.ca_fingerprint})
    # One identity a line: people can read and grep it.
    entries = ",\n".join(
        f"{json.dumps(stem)}: {json.dumps(asdict(entry))}" for stem, entry in manifest.entries.items()
    )
    lines = f'{head[:-1]}, "identities": {{\n{entries}\n}}}}\n'
    storage.write_file(path, lines.encode(), storage.PUBLIC)
