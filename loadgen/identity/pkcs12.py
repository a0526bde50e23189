"""PKCS#12 containers (`.p12`, `.pfx`): made for other programs, and read from other CAs.

TLS here takes PEM files, so a container that is read is unpacked once into a private folder beside it: key
files of mode 0600, unencrypted like those that loadgen issues. They are made anew when the container changes.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from loadgen.errors import ConfigError, Problem
from loadgen.identity import certificates, keys, names, reading, storage
from loadgen.identity.pairs import read_pair, tell

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from loadgen.identity.identity import Identity, Password

UNPACKED = ".loadgen-unpacked"
_SUFFIXES = (".p12", ".pfx")


def export(certificate_path: Path, key_path: Path, to: Path, password: str, key_password: str | None) -> None:
    """Write a certificate, its chain and its key as a PKCS#12 file of mode 0600.

    Args:
        certificate_path: PEM, the chain behind the certificate.
        key_path: PEM.
        to: the file.
        password: for the container.
        key_password: of an encrypted key file.

    Raises:
        ConfigError: files that cannot be read or written.
    """
    with storage.readable_errors(certificate_path):
        leaf, *chain = reading.parse_chain(certificate_path.read_bytes(), certificate_path)
    with storage.readable_errors(key_path):
        key = keys.parse_key(key_path.read_bytes(), key_path, key_password)
    if not isinstance(key, keys.PrivateKey) or not keys.key_matches(leaf, key):
        what = f"{key_path}: the key is not that of {certificate_path.name}"
        raise ConfigError(what, "bring back the key that belongs to it")
    root = certificate_path.parent / names.CA_CERTIFICATE
    if root.exists():
        chain.append(reading.parse_certificate(root.read_bytes(), root))
    content = pkcs12.serialize_key_and_certificates(
        certificate_path.stem.encode(),
        key,
        leaf,
        chain or None,
        serialization.BestAvailableEncryption(password.encode()),
    )
    with storage.exclusive(to.parent):
        storage.write_file(to, content, storage.PRIVATE)


def read_containers(path: Path, only: Sequence[str] | None, password: Password | None) -> list[Identity]:
    """Read a container, or all in a directory sorted by name.

    Args:
        path: the file or the directory.
        only: names (file names without suffix) to take from a directory, in this order.
        password: of all of them.

    Raises:
        ConfigError: everything that is wrong with the containers, at once.
    """
    files = _files(path, only)
    revealed = password.reveal() if password is not None else None
    identities: list[Identity] = []
    problems: list[Problem] = []
    for file in files:
        try:
            certificate, key = _unpack(file, revealed)
            identities.append(read_pair(file.stem, certificate, key))
        except ConfigError as error:
            problems += error.problems
    tell(problems)
    return identities


def _files(path: Path, only: Sequence[str] | None) -> list[Path]:
    if not path.is_dir():
        return [path]
    with storage.readable_errors(path):
        present = {one.stem: one for one in sorted(path.iterdir()) if one.suffix in _SUFFIXES}
    if only is not None:
        return [present.get(name, path / f"{name}.p12") for name in only]
    if not present:
        raise ConfigError(f"{path}: no .p12 or .pfx file in it", "name the directory or file of containers")
    return list(present.values())


def _unpack(file: Path, password: str | None) -> tuple[Path, Path]:
    with storage.readable_errors(file):
        content = file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:16]
    folder = file.parent / UNPACKED
    stem = f"{names.file_stem(file.stem)}-{digest}"
    paths = names.client_certificate(folder, stem), names.client_key(folder, stem)
    try:
        loaded = pkcs12.load_pkcs12(content, password.encode() if password is not None else None)
    except ValueError as error:
        mend = "name its password: password: {env: NAME} or {file: path}"
        raise ConfigError(f"{file}: no PKCS#12, or the password does not open it", mend) from error
    if loaded.cert is None or not isinstance(loaded.key, keys.PrivateKey):
        raise ConfigError(f"{file}: no certificate with its private key in it", "export both into it")
    if all(path.exists() for path in paths):
        return paths
    chain = [one.certificate for one in loaded.additional_certs]
    chain = [one for one in chain if one.issuer != one.subject]  # the broker has the root
    with storage.readable_errors(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
    with storage.exclusive(folder):
        pem = certificates.certificate_pem(loaded.cert.certificate, *chain)
        storage.write_pair(*paths, pem, keys.key_pem(loaded.key))
    return paths
