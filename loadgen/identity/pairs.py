"""Reading pairs of certificate and key that others made, all that is wrong with them at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadgen.errors import ConfigError, Problem
from loadgen.identity import reading, storage

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from loadgen.identity.identity import Identity, Password

_SHOWN = 20


def read_pairs(
    pairs: Iterable[tuple[str, Path, Path]],
    *,
    key_password: Password | None = None,
    skip_authorities: bool = False,
) -> list[Identity]:
    """Read the certificates of pairs; keys are only looked for, `check_identities` reads them.

    Args:
        pairs: name, certificate file, key file.
        key_password: where the password of the keys is kept.
        skip_authorities: leave out certificates of CAs, which stand beside clients' in many layouts.

    Raises:
        ConfigError: every pair that is half or unreadable, at once; or none is left.
    """
    identities: list[Identity] = []
    problems: list[Problem] = []
    for name, certificate_path, key_path in pairs:
        try:
            identity = read_pair(name, certificate_path, key_path, key_password=key_password)
            if identity is not None and not (skip_authorities and _is_authority(certificate_path)):
                identities.append(identity)
        except ConfigError as error:
            problems += error.problems
    tell(problems)
    return identities


def read_pair(
    name: str,
    certificate_path: Path,
    key_path: Path,
    *,
    columns: dict[str, str] | None = None,
    key_password: Password | None = None,
) -> Identity:
    """Read one certificate whose key is there.

    Raises:
        ConfigError: the certificate cannot be read, or there is no key file.
    """
    with storage.readable_errors(certificate_path):
        content = certificate_path.read_bytes()
    with storage.readable_errors(key_path):
        key_path.stat()
    certificate = reading.parse_certificate(content, certificate_path)
    return reading.identity_of(
        certificate, certificate_path, key_path, name, columns=columns, key_password=key_password
    )


def tell(problems: list[Problem]) -> None:
    """Raise when there are any problems; of very many, the first twenty and how many more.

    Raises:
        ConfigError: there are.
    """
    if len(problems) > _SHOWN:
        problems = [*problems[:_SHOWN], Problem("", f"and {len(problems) - _SHOWN} more such problems")]
    if problems:
        raise ConfigError(problems)


def _is_authority(path: Path) -> bool:
    certificate = reading.parse_certificate(path.read_bytes(), path)
    return reading.is_authority(certificate)
