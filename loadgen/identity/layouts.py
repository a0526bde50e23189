"""How directories of certificates are laid out by the tools that make them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loadgen.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

_NAME = "{name}"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the certificate and the key of a name are, as paths relative to the directory."""

    certificate: str
    """Such as `client_{name}_certificate.pem`."""
    key: str
    """Such as `client_{name}_key.pem`; may be the same."""

    def name_of(self, path: str) -> str | None:
        """The name in a certificate's path, or None for a path of another form."""
        head, _, tail = self.certificate.partition(_NAME)
        match = re.fullmatch(f"{re.escape(head)}([^/]+){re.escape(tail)}", path)
        return match[1] if match else None

    def names_in(self, files: Iterable[str]) -> set[str]:
        """The names that have a certificate among these paths, without keys that look like one."""
        named = {name for path in files if (name := self.name_of(path)) is not None}
        if self.certificate == self.key:
            return named
        keys = {self.key.replace(_NAME, name) for name in named}
        return {name for name in named if self.certificate.replace(_NAME, name) not in keys}


TLS_GEN = Layout("client_{name}_certificate.pem", "client_{name}_key.pem")
LAYOUTS = (
    TLS_GEN,
    Layout("{name}_certificate.pem", "{name}_key.pem"),
    Layout("issued/{name}.crt", "private/{name}.key"),  # easy-rsa
    Layout("certs/{name}.crt", "private/{name}.key"),
    Layout("certs/{name}.cert.pem", "private/{name}.key.pem"),
    Layout("certs/{name}.pem", "private/{name}.pem"),
    Layout("{name}/tls.crt", "{name}/tls.key"),  # Kubernetes' secrets
    Layout("{name}/fullchain.pem", "{name}/privkey.pem"),  # ACME clients
    Layout("{name}/cert.pem", "{name}/key.pem"),
    Layout("{name}/client.crt", "{name}/client.key"),
    Layout("{name}-cert.pem", "{name}-key.pem"),
    Layout("{name}.cert.pem", "{name}.key.pem"),
    Layout("{name}.pem", "{name}-key.pem"),  # cfssl, mkcert
    Layout("{name}.crt", "{name}.key"),
    Layout("{name}.cer", "{name}.key"),
    Layout("{name}.pem", "{name}.key"),
    Layout("{name}.pem", "{name}.pem"),  # both in one file
)
"""In the order in which they are tried: an earlier one with as many pairs wins."""

_NO_CLIENTS = re.compile(r"(client_)?(ca|root|server|intermediate)([-_.].*)?", re.IGNORECASE)


def parse_layout(certificate: str, key: str) -> Layout:
    """A layout in someone's own words.

    Raises:
        ConfigError: `{name}` doesn't stand in both just once.
    """
    for pattern in (certificate, key):
        if pattern.count(_NAME) < 1:
            raise ConfigError(f'"{pattern}" has no {{name}}', 'write for example "{name}/cert.pem"')
    if certificate.count(_NAME) != 1:
        raise ConfigError(f'"{certificate}" has {{name}} twice', "write it once")
    return Layout(certificate, key)


def clients_of(names: Iterable[str]) -> list[str]:
    """The names that may be clients', without those such as `ca` and `server_…`, sorted."""
    return sorted(name for name in names if not _NO_CLIENTS.fullmatch(name))


def recognise(files: Iterable[str]) -> tuple[Layout, list[str]]:
    """Find the layout that explains most of a directory's files.

    tls-gen's is taken whenever a file fits it. Names such as `ca` and `server_…` are left out of the others.

    Args:
        files: paths relative to the directory, one level of folders deep.

    Returns:
        The layout and the names in it, sorted: those with both files, and those with a certificate only.
    """
    present = set(files)
    best: tuple[int, Layout, list[str]] = (0, TLS_GEN, [])
    for layout in LAYOUTS:
        found = layout.names_in(present)
        if layout is TLS_GEN:
            found |= _KEY_OF_TLS_GEN.names_in(present)
            if found:
                return layout, sorted(found)
            continue
        if layout.certificate == layout.key and best[0]:
            continue  # every file would be a pair
        named = clients_of(found)
        whole = sum(layout.key.replace(_NAME, name) in present for name in named)
        if whole > best[0]:
            best = (whole, layout, named)
    return best[1], best[2]


_KEY_OF_TLS_GEN = Layout(TLS_GEN.key, TLS_GEN.certificate)
