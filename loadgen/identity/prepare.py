"""From one entry of a scenario's `identities:` section to the identities it stands for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from loadgen.identity.sets import issue_set, read_directory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loadgen.identity.authority import Progress
    from loadgen.identity.identity import Identity

_NS_PER_S = 1_000_000_000


# The shapes of the scenario's models: this package doesn't import the scenario's.
class _Template(Protocol):
    def render(self, fields: Mapping[str, object]) -> str: ...


class _Sans(Protocol):
    def by_type(self) -> Mapping[str, tuple[_Template, ...]]: ...


class _Issue(Protocol):
    @property
    def count(self) -> int: ...
    @property
    def common_name(self) -> _Template: ...
    @property
    def organization(self) -> str | None: ...
    @property
    def san(self) -> _Sans: ...
    @property
    def key(self) -> str: ...
    @property
    def valid_for(self) -> int: ...
    @property
    def out(self) -> str: ...


class _Directory(Protocol):
    @property
    def path(self) -> str: ...
    @property
    def names(self) -> _Template | None: ...


class SetSpec(Protocol):
    """An identity set as the scenario describes it: to be issued, or in a directory."""

    @property
    def issue(self) -> _Issue | None:
        """What to issue, or None."""

    @property
    def directory(self) -> _Directory | None:
        """Where the certificates are, or None."""


def prepare_set(
    set_name: str, spec: SetSpec, *, needed: int = 1, progress: Progress | None = None
) -> list[Identity]:
    """Issue (only what doesn't fit any more) or read the identities of a set.

    Args:
        set_name: the set's key in the scenario; the field `{set}` of its templates.
        spec: the set in the scenario.
        needed: how many clients will use it: how many names to make of a directory's `names` template;
            issued sets have their own count.
        progress: called with (done, to do) while issuing.

    Returns:
        The identities in the order of their index.

    Raises:
        ConfigError: as `issue_set` and `read_directory`.
    """
    if spec.issue is not None:
        return _issue(set_name, spec.issue, progress)
    assert spec.directory is not None
    template = spec.directory.names
    only = (
        None if template is None else [template.render(_fields(set_name, index)) for index in range(needed)]
    )
    if only is not None:
        only = list(dict.fromkeys(only))  # a template without {index} is one name
    return read_directory(Path(spec.directory.path), only)


def _issue(set_name: str, spec: _Issue, progress: Progress | None) -> list[Identity]:
    sans = spec.san.by_type()
    return issue_set(
        set_name,
        spec.count,
        lambda index: spec.common_name.render(_fields(set_name, index)),
        lambda index: {
            kind: tuple(template.render(_fields(set_name, index)) for template in templates)
            for kind, templates in sans.items()
        },
        out=Path(spec.out),
        organization=spec.organization,
        key=spec.key,
        valid_for_s=max(1, spec.valid_for // _NS_PER_S),
        progress=progress,
    )


def _fields(set_name: str, index: int) -> dict[str, object]:
    return {"index": index, "set": set_name}
