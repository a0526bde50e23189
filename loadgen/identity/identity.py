"""Who a client is: one certificate with its key, and what scenarios and the broker read from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from loadgen.identity.alternative_names import text_of


class Password(Protocol):
    """Where a password is kept: a variable of the environment or a file, never the password itself."""

    def reveal(self) -> str:
        """Read it.

        Raises:
            ConfigError: it is not there.
        """


@dataclass(frozen=True, slots=True)
class Identity:
    """One client certificate and its key, as files, with the values that others need of it."""

    name: str
    """The `<name>` in `client_<name>_certificate.pem`: the common name, percent-encoded."""
    cn: str
    serial: str
    """Serial number in upper-case hexadecimal, as `openssl x509 -serial` prints it."""
    organization: str
    """The O of the subject, empty when there is none."""
    sans: dict[str, tuple[str, ...]]
    """Subject alternative names by kind (`alternative_names.KINDS`), in the certificate's order.

    Kinds without any are left out; an other name is `OID=TEXT`.
    """
    subject_rabbitmq: str
    """The subject as RabbitMQ's `peer_cert_subject` shows it, such as `O=client,CN=dev1`."""
    not_before: float
    """Start of validity, seconds since the epoch."""
    not_after: float
    """End of validity, seconds since the epoch."""
    certificate_file: str
    """PEM file of the certificate, with those of intermediate CAs behind it if there are any.

    A text, because making 100,000 paths takes two seconds of a start.
    """
    key_file: str
    """PEM file of the private key; may be the same file."""
    key_type: str = "ec-p256"
    """`ec-p256`, `rsa-2048`…: identities of different types must not share one SSLContext (see tls.py)."""
    attributes: dict[str, str] = field(default_factory=dict)
    """Further parts of the subject that are there: `ou`, `l`, `st`, `c`, `serial_number`."""
    columns: dict[str, str] = field(default_factory=dict)
    """The other columns of the CSV file that lists it: `{csv.COLUMN}` in templates."""
    key_password: Password | None = None
    """Where the password of an encrypted key is kept."""
    invalid_on_purpose: bool = False
    """It was asked to be expired or not yet valid, for a broker to refuse."""

    @property
    def shown(self) -> bool:
        """Whether there is a certificate to show at all."""
        return bool(self.certificate_file)

    @property
    def certificate(self) -> Path:
        """Path of the certificate."""
        return Path(self.certificate_file)

    @property
    def key(self) -> Path:
        """Path of the private key."""
        return Path(self.key_file)

    def template_fields(self) -> dict[str, object]:
        """The fields for a scenario's templates, as flat keys.

        `cn`, `serial`, `o`, the other parts of the subject, `san.dns` (the first), `san.dns.0`, `san.dns.1`
        and so on for each kind present, and `csv.COLUMN`.
        """
        if not self.shown:
            return {}
        fields: dict[str, object] = {"cn": self.cn, "serial": self.serial, "o": self.organization}
        fields |= self.attributes
        for kind, values in self.sans.items():
            for position, value in enumerate(values):
                text = text_of(kind, value)
                fields.setdefault(f"san.{kind}", text)
                fields[f"san.{kind}.{position}"] = text
        for column, value in self.columns.items():
            fields[f"csv.{column}"] = value
        return fields


NO_CERTIFICATE = Identity("", "", "", "", {}, "", 0.0, float("inf"), "", "", "none")
"""Of clients that show no certificate."""
