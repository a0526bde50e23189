"""The shapes of the scenario's `identities:` models; this package doesn't import the scenario's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loadgen.identity.identity import Password


class TemplateSpec(Protocol):
    """A text with fields."""

    def render(self, fields: Mapping[str, object]) -> str:
        """Fill in the fields."""


class SansSpec(Protocol):
    """Templates of subject alternative names."""

    def by_type(self) -> Mapping[str, tuple[TemplateSpec, ...]]:
        """By kind."""


class IssueSpec(Protocol):
    """Certificates to issue."""

    @property
    def count(self) -> int: ...  # noqa: D102 - as in the scenario's model
    @property
    def common_name(self) -> TemplateSpec: ...  # noqa: D102
    @property
    def organization(self) -> TemplateSpec | None: ...  # noqa: D102
    @property
    def san(self) -> SansSpec: ...  # noqa: D102
    @property
    def key(self) -> str: ...  # noqa: D102
    @property
    def extended_key_usage(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def valid_for(self) -> int: ...  # noqa: D102
    @property
    def not_before(self) -> tuple[float, bool] | None: ...  # noqa: D102
    @property
    def not_after(self) -> tuple[float, bool] | None: ...  # noqa: D102
    @property
    def intermediates(self) -> int: ...  # noqa: D102
    @property
    def revoked(self) -> bool: ...  # noqa: D102
    @property
    def key_password(self) -> Password | None: ...  # noqa: D102
    @property
    def ca_password(self) -> Password | None: ...  # noqa: D102
    @property
    def out(self) -> str: ...  # noqa: D102

    def subject_parts(self) -> Mapping[str, TemplateSpec]:
        """The parts of the subject besides CN and O, by the template fields `ou`, `l` and so on."""


class DirectorySpec(Protocol):
    """A directory of certificates."""

    @property
    def path(self) -> str: ...  # noqa: D102
    @property
    def names(self) -> TemplateSpec | None: ...  # noqa: D102
    @property
    def certificate(self) -> str | None: ...  # noqa: D102
    @property
    def key(self) -> str | None: ...  # noqa: D102
    @property
    def key_password(self) -> Password | None: ...  # noqa: D102
    @property
    def ca(self) -> str | None: ...  # noqa: D102


class CsvSpec(Protocol):
    """A CSV file that lists certificates."""

    @property
    def path(self) -> str: ...  # noqa: D102
    @property
    def where(self) -> Mapping[str, str]: ...  # noqa: D102
    @property
    def delimiter(self) -> str: ...  # noqa: D102
    @property
    def key_password(self) -> Password | None: ...  # noqa: D102
    @property
    def ca(self) -> str | None: ...  # noqa: D102


class Pkcs12Spec(Protocol):
    """PKCS#12 containers."""

    @property
    def path(self) -> str: ...  # noqa: D102
    @property
    def names(self) -> TemplateSpec | None: ...  # noqa: D102
    @property
    def password(self) -> Password | None: ...  # noqa: D102
    @property
    def ca(self) -> str | None: ...  # noqa: D102


class SetSpec(Protocol):
    """An identity set as the scenario describes it; exactly one of these is not None."""

    @property
    def issue(self) -> IssueSpec | None: ...  # noqa: D102
    @property
    def directory(self) -> DirectorySpec | None: ...  # noqa: D102
    @property
    def csv(self) -> CsvSpec | None: ...  # noqa: D102
    @property
    def pkcs12(self) -> Pkcs12Spec | None: ...  # noqa: D102
