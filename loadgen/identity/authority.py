"""A throw-away certificate authority in a directory, in the file layout of RabbitMQ's tls-gen.

The CA's private key stays in its directory: no function gives its content away and `Identity` doesn't name
it, so it never reaches a worker.
"""

from __future__ import annotations

import datetime as dt
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from loadgen.errors import ConfigError
from loadgen.identity import certificates, names, reading, refusals, storage
from loadgen.identity.lifetime import expires_soon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from cryptography import x509

    from loadgen.identity.identity import Identity

    Progress = Callable[[int, int], None]
    """Called with (done, total) after each certificate."""

DAY_S = 86_400
_CA_LIFE_S = 3650 * DAY_S


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """A client certificate to be issued."""

    cn: str
    sans: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By kind: `dns`, `ip`, `email`, `uri`."""
    organization: str | None = "client"
    """The O of the subject; `client` is what tls-gen writes. None leaves it out."""
    key_type: str = "ec-p256"
    valid_for_s: int = 365 * DAY_S


class Authority:
    """A CA whose files are in one directory, together with what it issued."""

    def __init__(self, directory: Path, issuer: certificates.Issuer) -> None:
        """Use `create`, `open` or `ensure`."""
        self.directory = directory
        self._issuer = issuer

    @property
    def certificate(self) -> Path:
        """File of the CA certificate, for `ssl_options.cacertfile` and `tls.ca`."""
        return self.directory / names.CA_CERTIFICATE

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the CA certificate, in hexadecimal."""
        return reading.fingerprint(self._issuer.certificate)

    @classmethod
    def create(cls, directory: Path, *, valid_for_s: int = _CA_LIFE_S) -> Authority:
        """Make a new CA (P-256, ten years); its key has mode 0600 from creation.

        Raises:
            ConfigError: a CA is already there, or the directory cannot be written.
        """
        with storage.exclusive(directory):
            for path in (directory / names.CA_CERTIFICATE, directory / names.CA_KEY):
                if path.exists():
                    raise ConfigError(f"{path} is already there", "use it, or name another directory")
            return cls._create(directory, valid_for_s)

    @classmethod
    def open(cls, directory: Path) -> Authority:
        """Open the CA that loadgen or tls-gen made in this directory.

        Raises:
            ConfigError: it is not there or not readable, its key doesn't match or is encrypted, or it has
                expired.
        """
        certificate_path, key_path = directory / names.CA_CERTIFICATE, directory / names.CA_KEY
        with storage.readable_errors(certificate_path):
            certificate_content = certificate_path.read_bytes()
        if not key_path.exists():
            mend = "bring the key back, or remove everything in the directory to begin with a new CA"
            raise ConfigError(
                f"{key_path}: the CA's private key is not there, so nothing can be issued", mend
            )
        with storage.readable_errors(key_path):
            key_content = key_path.read_bytes()
        certificate = reading.parse_certificate(certificate_content, certificate_path)
        key = reading.parse_key(key_content, key_path)
        if not reading.key_matches(certificate, key):
            raise ConfigError(
                f"{key_path} is not the key of {certificate_path.name}", "bring back the right pair"
            )
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise ConfigError(f"{key_path}: a CA key must be EC or RSA", "name another directory")
        if certificate.not_valid_after_utc.timestamp() <= time.time() + DAY_S:
            until = f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M}Z"
            mend = "remove it and what it signed, issue again and restart the brokers that trust it"
            raise ConfigError(f"{certificate_path}: the CA is valid only until {until}", mend)
        return cls(directory, certificates.Issuer(certificate, key))

    @classmethod
    def ensure(cls, directory: Path) -> Authority:
        """Open the CA in this directory, or make one when there is none; safe in two processes at once.

        Raises:
            ConfigError: as `open` and `create`. A CA certificate without its key is such an error: a new
                CA would not be trusted by the brokers that have the old one.
        """
        if not ((directory / names.CA_CERTIFICATE).exists() and (directory / names.CA_KEY).exists()):
            with storage.exclusive(directory):
                # Looked at again: another process may have made it. A key alone is of a killed creation.
                if not (directory / names.CA_CERTIFICATE).exists():
                    return cls._create(directory, _CA_LIFE_S)
        return cls.open(directory)

    @classmethod
    def _create(cls, directory: Path, valid_for_s: int) -> Authority:
        stamp = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        # Two CAs must not have the same subject, or OpenSSL may pick the wrong one of a bundle.
        cn = f"loadgen throw-away CA {stamp} {secrets.token_hex(4)}"
        issuer = certificates.new_authority(cn, valid_for_s, time.time())
        storage.write_pair(
            directory / names.CA_CERTIFICATE,
            directory / names.CA_KEY,
            certificates.certificate_pem(issuer.certificate),
            certificates.key_pem(issuer.key),
        )
        return cls(directory, issuer)

    def issue_server(
        self,
        name: str,
        dns: Sequence[str] = (),
        ip: Sequence[str] = (),
        *,
        key_type: str = "ec-p256",
        valid_for_s: int = 365 * DAY_S,
    ) -> tuple[Path, Path]:
        """Issue a broker's certificate, or keep the one that is there when it still fits.

        Args:
            name: common name, and `<name>` in `server_<name>_certificate.pem`.
            dns: DNS names that clients connect to; the name itself when both lists are empty.
            ip: IP addresses that clients connect to (tls-gen's certificates have none).
            key_type: `ec-p256` or `rsa-2048`.
            valid_for_s: seconds of validity.

        Returns:
            The files of the certificate and of the key (mode 0600).

        Raises:
            ConfigError: a name that X.509 cannot hold, or files that cannot be written.
        """
        sans = {"dns": tuple(dns), "ip": tuple(ip)} if dns or ip else {"dns": (name,)}
        subject = certificates.Subject(name, "server", sans)
        refusals.refuse_bad_subjects([subject])
        stem = names.file_stem(name)
        certificate_path = names.server_certificate(self.directory, stem)
        key_path = names.server_key(self.directory, stem)
        with storage.exclusive(self.directory):
            if not self.fits(subject, key_type, certificate_path, key_path):
                pair = (certificate_path, key_path)
                self._issue(subject, key_type, valid_for_s, usage=certificates.SERVER, to=pair)
        return certificate_path, key_path

    def issue_clients(
        self, requests: Iterable[ClientRequest], progress: Progress | None = None
    ) -> list[Identity]:
        """Issue client certificates, replacing what is there; `sets.issue_set` is the one that re-uses.

        Returns:
            The identities in the order of the requests.

        Raises:
            ConfigError: all names that X.509 cannot hold at once, before anything is written; two requests
                with the same common name; files that cannot be written.
        """
        wanted = list(requests)
        refusals.refuse_bad_subjects([_subject(request) for request in wanted])
        refusals.refuse_same_names([request.cn for request in wanted])
        with storage.exclusive(self.directory):
            return self.issue_locked(wanted, progress)

    def issue_locked(
        self, requests: Sequence[ClientRequest], progress: Progress | None = None
    ) -> list[Identity]:
        """`issue_clients` for a caller that has checked the names and holds the directory's lock."""
        issued = []
        for position, request in enumerate(requests, 1):
            stem = names.file_stem(request.cn)
            certificate_path = names.client_certificate(self.directory, stem)
            key_path = names.client_key(self.directory, stem)
            pair = (certificate_path, key_path)
            certificate = self._issue(
                _subject(request), request.key_type, request.valid_for_s, usage=certificates.CLIENT, to=pair
            )
            issued.append(reading.identity_of(certificate, certificate_path, key_path, stem))
            if progress is not None:
                progress(position, len(requests))
        return issued

    def fits(
        self,
        subject: certificates.Subject,
        key_type: str,
        certificate_path: Path,
        key_path: Path,
        valid_for_s: int | None = None,
    ) -> x509.Certificate | None:
        """The certificate on disk if it says just this, has its key beside it, is ours and lasts; else None.

        With `valid_for_s` its whole life must also be as asked.
        """
        try:
            certificate = reading.parse_certificate(certificate_path.read_bytes(), certificate_path)
            key = reading.parse_key(key_path.read_bytes(), key_path)
        except (OSError, ConfigError):
            return None  # missing or broken: to be issued
        found = reading.identity_of(certificate, certificate_path, key_path)
        said = (found.cn, found.organization or None, found.sans, found.key_type)
        asked = (subject.cn, subject.organization or None, certificates.plain_sans(subject.sans), key_type)
        fitting = (
            said == asked
            and (valid_for_s is None or self._lasts(found, valid_for_s))
            and not expires_soon(found.not_before, found.not_after, time.time())
            and reading.key_matches(certificate, key)
            and reading.signed_by(certificate, self._issuer.certificate)
        )
        return certificate if fitting else None

    def _lasts(self, found: Identity, valid_for_s: int) -> bool:
        """Whether the certificate was made for this life, or to the end of the CA's when that is shorter."""
        as_long_as_ca = found.not_after == self._issuer.certificate.not_valid_after_utc.timestamp()
        return as_long_as_ca or found.not_after - found.not_before == valid_for_s + certificates.BACKDATED_S

    def _issue(
        self,
        subject: certificates.Subject,
        key_type: str,
        valid_for_s: int,
        *,
        usage: x509.ObjectIdentifier,
        to: tuple[Path, Path],
    ) -> x509.Certificate:
        key = certificates.new_key(key_type)
        certificate = certificates.new_leaf(
            self._issuer, subject, key, usage=usage, valid_for_s=valid_for_s, now=time.time()
        )
        pems = certificates.certificate_pem(certificate), certificates.key_pem(key)
        storage.write_pair(*to, *pems)
        return certificate


def _subject(request: ClientRequest) -> certificates.Subject:
    return certificates.Subject(request.cn, request.organization, request.sans)
