"""Certificates by request (CSR): the key stays where it was made, and only the request goes to the CA."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from loadgen.errors import ConfigError
from loadgen.identity import certificates, keys, names, refusals, storage
from loadgen.identity.subject import common_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from loadgen.identity.authority import Authority
    from loadgen.identity.identity import Password
    from loadgen.identity.lifetime import Validity
    from loadgen.identity.request import Subject


def make_request(
    directory: Path, subject: Subject, key_type: str = "ec-p256", key_password: Password | None = None
) -> tuple[Path, Path]:
    """Make a key (unless it is there) and a request for a certificate.

    Args:
        directory: gets `client_<name>_key.pem` (mode 0600) and `client_<name>_request.pem`.
        subject: the names to ask for.
        key_type: one of `keys.KEY_TYPES`, for a new key.
        key_password: of the key.

    Returns:
        The files of the request and of the key.

    Raises:
        ConfigError: a name that X.509 cannot hold, a key that cannot be read, files that cannot be written.
    """
    refusals.refuse_bad_subjects([subject])
    stem = names.file_stem(subject.cn)
    request_path, key_path = names.client_request(directory, stem), names.client_key(directory, stem)
    password = key_password.reveal() if key_password is not None else None
    with storage.exclusive(directory):
        if key_path.exists():
            with storage.readable_errors(key_path):
                key = keys.parse_key(key_path.read_bytes(), key_path, password)
            if not isinstance(key, keys.PrivateKey):
                raise ConfigError(f"{key_path}: not a key for certificates", "remove it to have a new one")
        else:
            key = keys.new_key(key_type)
            storage.write_file(key_path, keys.key_pem(key, password), storage.PRIVATE)
        request = certificates.new_signing_request(subject, key)
        pem = request.public_bytes(serialization.Encoding.PEM)
        storage.write_file(request_path, pem, storage.PUBLIC)
    return request_path, key_path


def sign_request(
    authority: Authority, request_path: Path, to: Path, uses: Sequence[str], validity: Validity
) -> Path:
    """Sign a request: subject and alternative names are taken as they are, and nothing else of it.

    Args:
        authority: the CA.
        request_path: PKCS#10 in PEM form, of loadgen, openssl or anyone.
        to: directory that gets `client_<name>_certificate.pem`, the name as in the request's file name, else
            the common name.
        uses: extended key usage, see `request.USES`.
        validity: of the certificate.

    Returns:
        The file of the certificate, the intermediates behind it.

    Raises:
        ConfigError: no request, one whose signature is wrong, or one without a name.
    """
    with storage.readable_errors(request_path):
        content = request_path.read_bytes()
    try:
        request = x509.load_pem_x509_csr(content)
        valid = request.is_signature_valid
    except ValueError as error:
        raise ConfigError(f"{request_path}: no signing request in PEM form", "name a CSR") from error
    if not valid:
        raise ConfigError(f"{request_path}: the request is not signed by its key", "make it again")
    public_key = request.public_key()
    if not isinstance(public_key, keys.PublicKey):
        raise ConfigError(f"{request_path}: the key must be EC, RSA or Ed25519", "make another request")
    stem = names.client_stem_of_request(request_path.name) or names.file_stem(common_name(request.subject))
    if not stem:
        raise ConfigError(f"{request_path}: the request has no common name", "ask for one")
    certificate = authority.sign(request.subject, _sans(request), public_key, uses, validity)
    path = names.client_certificate(to, stem)
    with storage.exclusive(to):
        pem = certificates.certificate_pem(certificate, *authority.cas.chain)
        storage.write_file(path, pem, storage.PUBLIC)
    return path


def _sans(request: x509.CertificateSigningRequest) -> list[x509.GeneralName]:
    try:
        return list(request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []
