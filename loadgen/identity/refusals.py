"""Names that cannot be issued, found before any key is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadgen.errors import ConfigError, Problem
from loadgen.identity.certificates import check_subject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadgen.identity.request import Subject

_SHOWN = 10


def refuse_bad_subjects(subjects: Sequence[Subject]) -> None:
    """Find all names that X.509 cannot hold before a key is made.

    Raises:
        ConfigError: with a problem for each of the first ten.
    """
    problems = [problem for subject in subjects if (problem := check_subject(subject))]
    if len(problems) > _SHOWN:
        problems[_SHOWN:] = [Problem("", f"and {len(problems) - _SHOWN} more such names")]
    if problems:
        raise ConfigError(problems)


def refuse_same_names(common_names: Sequence[str]) -> None:
    """Two certificates of one set with the same common name would be the same file.

    Raises:
        ConfigError: names the first that comes twice.
    """
    seen: set[str] = set()
    for cn in common_names:
        if cn in seen:
            raise ConfigError(
                f"two certificates would have the common name {cn!r}", "put {index} into common_name"
            )
        seen.add(cn)
