"""Who a client is: one certificate with its key, and what scenarios and the broker read from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from loadgen.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

SAN_KINDS = ("dns", "ip", "email", "uri")
"""The kinds of subject alternative names that we issue and read, in the order they stand in a certificate."""


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
    """Subject alternative names by kind (`dns`, `ip`, `email`, `uri`), in the certificate's order.

    Kinds without any are left out.
    """
    subject_rabbitmq: str
    """The subject as RabbitMQ's `peer_cert_subject` shows it, such as `O=client,CN=dev1`."""
    not_before: float
    """Start of validity, seconds since the epoch."""
    not_after: float
    """End of validity, seconds since the epoch."""
    certificate: Path
    key: Path
    key_type: str = "ec-p256"
    """`ec-p256`, `rsa-2048`…: identities of different types must not share one SSLContext (see tls.py)."""

    def template_fields(self) -> dict[str, object]:
        """The fields for a scenario's templates, as flat keys.

        `cn`, `serial`, `o`, `san.dns` (the first), `san.dns.0`, `san.dns.1` and so on for each kind present.
        """
        fields: dict[str, object] = {"cn": self.cn, "serial": self.serial, "o": self.organization}
        for kind, values in self.sans.items():
            for position, value in enumerate(values):
                fields.setdefault(f"san.{kind}", value)
                fields[f"san.{kind}.{position}"] = value
        return fields


def user_name(identity: Identity, login_from: str = "common_name") -> str:
    """The user name under which a broker logs this identity in.

    Args:
        identity: whose certificate the broker sees.
        login_from: the broker's `ssl_cert_login_from`; only `common_name` for now.

    Raises:
        ConfigError: the broker's setting is not one we can follow.
    """
    if login_from != "common_name":
        raise ConfigError(f"login_from: {login_from!r} is not supported", "write common_name")
    return identity.cn
