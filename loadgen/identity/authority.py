"""A throw-away certificate authority in a directory, in the file layout of RabbitMQ's tls-gen.

The CA's private key stays in its directory: no function gives its content away and `Identity` doesn't name
it, so it never reaches a worker.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from loadgen.errors import ConfigError
from loadgen.identity import certificates, hierarchy, keys, names, reading, refusals, storage
from loadgen.identity.alternative_names import plain_sans
from loadgen.identity.identity import Identity
from loadgen.identity.lifetime import DAY_S, Validity
from loadgen.identity.request import SERVER_USE, ClientRequest
from loadgen.identity.subject import rabbitmq_subject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from cryptography import x509

    from loadgen.identity.hierarchy import Hierarchy
    from loadgen.identity.identity import Password

    Progress = Callable[[int, int], None]
    """Called with (done, total) after each certificate."""

_CA_LIFE_S = 3650 * DAY_S

__all__ = ["DAY_S", "Authority", "ClientRequest"]


class Authority:
    """A CA whose files are in one directory, together with what it issued."""

    def __init__(self, directory: Path, cas: Hierarchy, slot: int = 0) -> None:
        """Use `create`, `open` or `ensure`."""
        self.directory = directory
        self.home = directory
        """Where the files of the CA itself are."""
        self.cas = cas
        self._issuer = cas.issuer
        self._slot = slot

    def into(self, directory: Path, slot: int = 0) -> Authority:
        """Give the same CA, to issue into another directory.

        `slot` differs for each process that issues under one lock.
        """
        other = Authority(directory, self.cas, slot)
        other.home = self.home
        return other

    @property
    def certificate(self) -> Path:
        """File of the root's certificate, for `ssl_options.cacertfile` and `tls.ca`."""
        return self.home / names.CA_CERTIFICATE

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate of the CA that signs, in hexadecimal."""
        return reading.fingerprint(self._issuer.certificate)

    @property
    def root_fingerprint(self) -> str:
        """SHA-256 of the root's certificate, in hexadecimal."""
        return reading.fingerprint(self.cas.trusted)

    @classmethod
    def create(cls, directory: Path, *, valid_for_s: float = _CA_LIFE_S) -> Authority:
        """Make a new CA (P-256, ten years); its key has mode 0600 from creation.

        Raises:
            ConfigError: a CA is already there, or the directory cannot be written.
        """
        with storage.exclusive(directory):
            for path in (directory / names.CA_CERTIFICATE, directory / names.CA_KEY):
                if path.exists():
                    raise ConfigError(f"{path} is already there", "use it, or name another directory")
            return cls(directory, hierarchy.make_root(directory, valid_for_s, 0, None))

    @classmethod
    def open(cls, directory: Path, *, intermediates: int = 0, password: Password | None = None) -> Authority:
        """Open the CA that loadgen or tls-gen made in this directory.

        Args:
            directory: has `ca_certificate.pem` and `ca_key.pem`.
            intermediates: how many CAs stand between the root and what is issued; all of them must be there.
            password: of encrypted CA keys.

        Raises:
            ConfigError: it is not there or not readable, its key doesn't match or is encrypted, or it has
                expired.
        """
        root = hierarchy.open_level(directory, 0, password)
        return cls(directory, hierarchy.descend(directory, root, intermediates, password))

    @classmethod
    def ensure(
        cls, directory: Path, *, intermediates: int = 0, password: Password | None = None
    ) -> Authority:
        """Open the CA in this directory, or make one when there is none; safe in two processes at once.

        Args:
            directory: of the CA.
            intermediates: how many CAs to have between the root and what is issued.
            password: of the CA keys: to read them, and to encrypt those that are made.

        Raises:
            ConfigError: as `open` and `create`. A CA certificate without its key is such an error: a new
                CA would not be trusted by the brokers that have the old one.
        """
        if not ((directory / names.CA_CERTIFICATE).exists() and (directory / names.CA_KEY).exists()):
            with storage.exclusive(directory):
                # Looked at again: another process may have made it. A key alone is of a killed creation.
                if not (directory / names.CA_CERTIFICATE).exists():
                    root = hierarchy.make_root(directory, _CA_LIFE_S, intermediates, password)
                    return cls(directory, hierarchy.descend(directory, root.issuer, intermediates, password))
        if not intermediates:
            return cls.open(directory, password=password)
        with storage.exclusive(directory):
            return cls.open(directory, intermediates=intermediates, password=password)

    def issue_server(
        self,
        name: str,
        dns: Sequence[str] = (),
        ip: Sequence[str] = (),
        *,
        key_type: str = "ec-p256",
        valid_for_s: float = 365 * DAY_S,
    ) -> tuple[Path, Path]:
        """Issue a broker's certificate, or keep the one that is there when it still fits.

        Args:
            name: common name, and `<name>` in `server_<name>_certificate.pem`.
            dns: DNS names that clients connect to; the name itself when both lists are empty.
            ip: IP addresses that clients connect to (tls-gen's certificates have none).
            key_type: one of `keys.KEY_TYPES`.
            valid_for_s: seconds of validity.

        Returns:
            The files of the certificate and of the key (mode 0600).

        Raises:
            ConfigError: a name that X.509 cannot hold, or files that cannot be written.
        """
        sans = {"dns": tuple(dns), "ip": tuple(ip)} if dns or ip else {"dns": (name,)}
        request = ClientRequest(name, sans, "server", key_type, valid_for_s, uses=(SERVER_USE,))
        refusals.refuse_bad_subjects([request.subject])
        stem = names.file_stem(name)
        certificate_path = names.server_certificate(self.directory, stem)
        key_path = names.server_key(self.directory, stem)
        with storage.exclusive(self.directory):
            if not self.fits(request, certificate_path, key_path, any_life=True):
                self.issue(request, certificate_path, key_path)
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
        refusals.refuse_bad_subjects([request.subject for request in wanted])
        refusals.refuse_same_names([request.cn for request in wanted])
        with storage.exclusive(self.directory):
            issued = []
            for position, request in enumerate(wanted, 1):
                issued.append(self.issue_client(request))
                if progress is not None:
                    progress(position, len(wanted))
            return issued

    def issue_client(self, request: ClientRequest, key_password: Password | None = None) -> Identity:
        """Issue one client certificate, for a caller that checked its names and holds the lock."""
        stem = names.file_stem(request.cn)
        certificate_path = names.client_certificate(self.directory, stem)
        key_path = names.client_key(self.directory, stem)
        certificate = self.issue(request, certificate_path, key_path, key_password)
        return replace(
            planned_identity(request, self.directory),
            serial=reading.serial_text(certificate.serial_number),
            not_before=certificate.not_valid_before_utc.timestamp(),
            not_after=certificate.not_valid_after_utc.timestamp(),
            key_password=key_password,
        )

    def fits(
        self,
        request: ClientRequest,
        certificate_path: Path,
        key_path: Path,
        key_password: Password | None = None,
        *,
        any_life: bool = False,
    ) -> x509.Certificate | None:
        """The certificate on disk if it says just this, has its key beside it, is ours and lasts; else None.

        With `any_life` it only has to be valid a while longer.
        """
        password = key_password.reveal() if key_password is not None else None
        try:
            content = certificate_path.read_bytes()
            chain = reading.parse_chain(content, certificate_path)
            key_content = key_path.read_bytes()
            key = keys.parse_key(key_content, key_path, password)
        except (OSError, ConfigError):
            return None  # missing or broken: to be issued
        certificate = chain[0]
        found = reading.identity_of(certificate, certificate_path, key_path)
        said = _said(found.cn, found.organization, found.sans, found.key_type, found.attributes)
        asked = _said(
            request.cn, request.organization, plain_sans(request.sans), request.key_type, request.attributes
        )
        validity = Validity() if any_life else request.validity
        fitting = (
            said == asked
            and set(reading.uses_of(certificate)) == certificates.use_numbers(request.uses)
            and (b"ENCRYPTED" in key_content) == (password is not None)
            and (any_life or validity.as_made(found.not_before, found.not_after, self._issuer.end))
            and not validity.due(found.not_before, found.not_after, time.time())
            and keys.key_matches(certificate, key)
            and reading.signed_by(certificate, self._issuer.certificate)
            and tuple(chain[1:]) == self.cas.chain
        )
        return certificate if fitting else None

    def issue(
        self,
        request: ClientRequest,
        certificate_path: Path,
        key_path: Path,
        key_password: Password | None = None,
    ) -> x509.Certificate:
        """Make a key and a certificate and write both; the caller holds the directory's lock."""
        key = keys.new_key(request.key_type)
        subject = request.subject
        name, sans = certificates.subject_name(subject), certificates.general_names(subject)
        certificate = self.sign(name, sans, key.public_key(), request.uses, request.validity)
        pem = certificates.certificate_pem(certificate, *self.cas.chain)
        key_pem = keys.key_pem(key, key_password.reveal() if key_password is not None else None)
        storage.write_pair(certificate_path, key_path, pem, key_pem, self._slot)
        return certificate

    def sign(
        self,
        name: x509.Name,
        sans: Sequence[x509.GeneralName],
        public_key: keys.PublicKey,
        uses: Sequence[str],
        validity: Validity,
    ) -> x509.Certificate:
        """Sign a certificate for someone's public key, valid as asked from this moment on."""
        now = time.time()
        start, end = validity.not_before.at(now), validity.not_after.at(now)
        return certificates.new_leaf(
            self._issuer,
            name,
            sans,
            public_key,
            uses=uses,
            start=start if start < end else end - DAY_S,  # a date of the past without a start
            end=end,
        )


def planned_identity(request: ClientRequest, directory: Path) -> Identity:
    """The identity that a request becomes, without serial number and dates; nothing is issued.

    Raises:
        ConfigError: a name that X.509 cannot hold.
    """
    stem = names.file_stem(request.cn)
    return Identity(
        name=stem,
        cn=request.cn,
        serial="",
        organization=request.organization or "",
        sans=plain_sans(request.sans),
        subject_rabbitmq=rabbitmq_subject(certificates.subject_name(request.subject)),
        not_before=0.0,
        not_after=0.0,
        certificate_file=str(names.client_certificate(directory, stem)),
        key_file=str(names.client_key(directory, stem)),
        key_type=request.key_type,
        attributes=dict(request.attributes),
    )


def _said(*parts: object) -> tuple[object, ...]:
    return tuple(part or None for part in parts)
