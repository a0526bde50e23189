"""What a certificate to be issued is to say, as a plain value that can go to another process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from loadgen.identity.lifetime import DAY_S, Moment, Validity

if TYPE_CHECKING:
    from collections.abc import Mapping

CLIENT_USE = "client_auth"
SERVER_USE = "server_auth"
USES = (CLIENT_USE, SERVER_USE)
"""The extended key usages that can be asked for."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a certificate is to say about its owner."""

    cn: str
    organization: str | None
    sans: Mapping[str, tuple[str, ...]]
    """By kind: `dns`, `ip`, `email`, `uri`, `other_name` (`OID=TEXT`)."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Further parts of the subject: `ou`, `l`, `st`, `c`, `serial_number`."""


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """A client certificate to be issued."""

    cn: str
    sans: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By kind: `dns`, `ip`, `email`, `uri`, `other_name` (`OID=TEXT`)."""
    organization: str | None = "client"
    """The O of the subject; `client` is what tls-gen writes. None leaves it out."""
    key_type: str = "ec-p256"
    valid_for_s: float = 365 * DAY_S
    """Seconds from now, or from `not_before`."""
    not_before: Moment | None = None
    """Start of validity; a few minutes ago when None."""
    not_after: Moment | None = None
    """End of validity, in place of `valid_for_s`."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Further parts of the subject: `ou`, `l`, `st`, `c`, `serial_number`."""
    uses: tuple[str, ...] = (CLIENT_USE,)
    """Extended key usage; empty leaves the extension out, so that the certificate is good for anything."""

    @property
    def subject(self) -> Subject:
        """The names in it."""
        return Subject(self.cn, self.organization, self.sans, self.attributes)

    @property
    def validity(self) -> Validity:
        """The dates in it."""
        return Validity.of(self.valid_for_s, self.not_before, self.not_after)

    def asked(self) -> list[Any]:
        """All of it in plain lists and texts, equal for equal requests; `from_asked` reads it back."""
        return [
            self.cn,
            [[kind, list(values)] for kind, values in self.sans.items()],
            self.organization,
            self.key_type,
            self.valid_for_s,
            _moment(self.not_before),
            _moment(self.not_after),
            list(self.attributes.items()),
            list(self.uses),
        ]

    @classmethod
    def from_asked(cls, asked: list[Any]) -> ClientRequest:
        """Read back what `asked` gave."""
        cn, sans, organization, key_type, valid_for_s, not_before, not_after, attributes, uses = asked
        return cls(
            cn,
            {kind: tuple(values) for kind, values in sans},
            organization,
            key_type,
            valid_for_s,
            None if not_before is None else Moment(*not_before),
            None if not_after is None else Moment(*not_after),
            dict(attributes),
            tuple(uses),
        )


def _moment(moment: Moment | None) -> list[Any] | None:
    return None if moment is None else [moment.seconds, moment.relative]
