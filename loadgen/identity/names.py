"""File names in the layout of RabbitMQ's tls-gen, made safe for any common name."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from pathlib import Path

CA_CERTIFICATE = "ca_certificate.pem"
CA_KEY = "ca_key.pem"
_CLIENT_PREFIX = "client_"
_CERTIFICATE_SUFFIX = "_certificate.pem"
_KEY_SUFFIX = "_key.pem"
REQUEST_SUFFIX = "_request.pem"


def file_stem(name: str) -> str:
    """Percent-encode a common name (UTF-8) so that it is one safe, reversible part of a file name.

    Letters, digits and `-._~` stay as they are, so the host names and device names of tls-gen keep
    their usual files. A common name has at most 64 bytes, so the result has at most 192.
    """
    return quote(name, safe="")


def client_files(stem: str) -> tuple[str, str]:
    """The names of the certificate's and the key's file of the client with this stem."""
    return f"{_CLIENT_PREFIX}{stem}{_CERTIFICATE_SUFFIX}", f"{_CLIENT_PREFIX}{stem}{_KEY_SUFFIX}"


def client_certificate(directory: Path, stem: str) -> Path:
    """Where the certificate of the client with this stem is."""
    return directory / f"{_CLIENT_PREFIX}{stem}{_CERTIFICATE_SUFFIX}"


def client_key(directory: Path, stem: str) -> Path:
    """Where the private key of the client with this stem is."""
    return directory / f"{_CLIENT_PREFIX}{stem}{_KEY_SUFFIX}"


def ca_certificate(directory: Path, level: int) -> Path:
    """Where the certificate of a CA is: level 0 is the root, the others are the intermediates below it."""
    return directory / (f"intermediate_{level}_certificate.pem" if level else CA_CERTIFICATE)


def ca_key(directory: Path, level: int) -> Path:
    """Where the private key of a CA is."""
    return directory / (f"intermediate_{level}_key.pem" if level else CA_KEY)


def ca_crl(directory: Path, level: int) -> Path:
    """Where the list of certificates that this CA revoked is."""
    return directory / (f"intermediate_{level}_crl.pem" if level else "ca_crl.pem")


def client_request(directory: Path, stem: str) -> Path:
    """Where the signing request (CSR) of the client with this stem is."""
    return directory / f"{_CLIENT_PREFIX}{stem}{REQUEST_SUFFIX}"


def server_certificate(directory: Path, stem: str) -> Path:
    """Where the certificate of the server with this stem is."""
    return directory / f"server_{stem}{_CERTIFICATE_SUFFIX}"


def server_key(directory: Path, stem: str) -> Path:
    """Where the private key of the server with this stem is."""
    return directory / f"server_{stem}{_KEY_SUFFIX}"


def manifest(directory: Path, set_name: str) -> Path:
    """Where the list of what was issued for an identity set is."""
    return directory / f"{file_stem(set_name)}.manifest.json"


def client_stem_of_certificate(file_name: str) -> str | None:
    """The stem in `client_<stem>_certificate.pem`, or None for any other file name.

    tls-gen's alias `client_certificate.pem` has no stem and is left out.
    """
    return _stem(file_name, _CERTIFICATE_SUFFIX)


def client_stem_of_key(file_name: str) -> str | None:
    """The stem in `client_<stem>_key.pem`, or None for any other file name."""
    return _stem(file_name, _KEY_SUFFIX)


def client_stem_of_request(file_name: str) -> str | None:
    """The stem in `client_<stem>_request.pem`, or None for any other file name."""
    return _stem(file_name, REQUEST_SUFFIX)


def key_beside(certificate: Path) -> Path:
    """Where the key of this certificate is by its name: `X_key.pem` for `X_certificate.pem`.

    The path itself when its name doesn't end like that.
    """
    if not certificate.name.endswith(_CERTIFICATE_SUFFIX):
        return certificate
    return certificate.with_name(certificate.name.removesuffix(_CERTIFICATE_SUFFIX) + _KEY_SUFFIX)


def is_certificate(file_name: str) -> bool:
    """Whether a file is a certificate by its name, of a client, a server or the CA."""
    return file_name.endswith(_CERTIFICATE_SUFFIX)


def _stem(file_name: str, suffix: str) -> str | None:
    if not (file_name.startswith(_CLIENT_PREFIX) and file_name.endswith(suffix)):
        return None
    return file_name[len(_CLIENT_PREFIX) : -len(suffix)] or None
