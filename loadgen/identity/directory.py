"""Identities from a directory of certificates that were made elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadgen.errors import ConfigError
from loadgen.identity import names, storage
from loadgen.identity.layouts import TLS_GEN, Layout, clients_of, recognise
from loadgen.identity.pairs import read_pairs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from loadgen.identity.identity import Identity, Password


def read_directory(
    path: Path,
    only: Sequence[str] | None = None,
    *,
    layout: Layout | None = None,
    key_password: Password | None = None,
) -> list[Identity]:
    """Read a directory of client certificates.

    Args:
        path: the directory, in tls-gen's layout or one of `layouts.LAYOUTS`.
        only: the names to take, in this order, as common names or as they stand in the file names; all
            pairs, sorted by name, when None.
        layout: where the files of a name are; found out when None.
        key_password: where the password of the keys is kept.

    Raises:
        ConfigError: every pair that is half, unreadable or missing, at once.
    """
    with storage.readable_errors(path):
        files = list(_files(path))
    if layout is None:
        layout, available = recognise(files)
    else:
        named = layout.names_in(files)
        available = sorted(named) if only is not None else clients_of(named)
    if not available:
        what = f"{path}: no client_<name>_certificate.pem in it, nor pairs of any other layout we know"
        mend = "name a directory made by tls-gen or `loadgen certs issue`, or write certificate: and key:"
        raise ConfigError(what, mend)
    wanted = available if only is None else _resolve(only, set(available))
    pairs = [
        (name, path / _filled(layout.certificate, name), path / _filled(layout.key, name)) for name in wanted
    ]
    return read_pairs(pairs, key_password=key_password, skip_authorities=only is None and layout != TLS_GEN)


def _files(path: Path) -> Iterator[str]:
    for entry in path.iterdir():
        if entry.is_dir():
            yield from (f"{entry.name}/{inner.name}" for inner in entry.iterdir())
        else:
            yield entry.name


def _filled(pattern: str, name: str) -> str:
    return pattern.replace("{name}", name)


def _resolve(only: Sequence[str], available: set[str]) -> list[str]:
    return [name if name in available else names.file_stem(name) for name in only]
