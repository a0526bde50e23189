"""A whole scenario, checked: what `load_scenario` gives and everything after it reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import yaml
from pydantic import BeforeValidator, Field, PrivateAttr

from loadgen.errors import Problem
from loadgen.scenario.base import Name, Strict, Text, Whole, one_or_many
from loadgen.scenario.certificates import CertificateStep, RotationCommands
from loadgen.scenario.control import Control, Kubernetes
from loadgen.scenario.drift import Drift, DriftLimits
from loadgen.scenario.faults import Fault, Faults, Moment, Repeat
from loadgen.scenario.groups import (
    Backoff,
    Group,
    Reconnect,
    SessionSettings,
    Subscribe,
)
from loadgen.scenario.identities import Directory, IdentitySet, Issue, SanTemplates
from loadgen.scenario.publishing import Lanes, Payload, Publish, Will
from loadgen.scenario.secret import Secret
from loadgen.scenario.stages import Load, Stage
from loadgen.scenario.target import Management, Target, Timeouts, TlsSettings
from loadgen.scenario.threshold_rules import Rule, ThresholdRule
from loadgen.scenario.thresholds import ThresholdSpec, parse_thresholds
from loadgen.scenario.units import PositiveDuration
from loadgen.scenario.uri import Uri

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Backoff",
    "CertificateStep",
    "Control",
    "Directory",
    "Drift",
    "DriftLimits",
    "Fault",
    "GeneratorLimits",
    "Group",
    "IdentitySet",
    "Issue",
    "Kubernetes",
    "Lanes",
    "Load",
    "Management",
    "Moment",
    "Payload",
    "Publish",
    "Reconnect",
    "Repeat",
    "RotationCommands",
    "SanTemplates",
    "Scenario",
    "Secret",
    "SessionSettings",
    "Stage",
    "Subscribe",
    "Target",
    "ThresholdRule",
    "ThresholdSpec",
    "Timeouts",
    "TlsSettings",
    "Uri",
    "Will",
]


class GeneratorLimits(Strict):
    """What the generator may cost the measurement before the verdict is INVALID."""

    send_lag: PositiveDuration = 100_000_000
    """Highest p99 of the time between a message's intended and actual sending."""
    loop_lag: PositiveDuration = 100_000_000
    """Highest p99 of how late the event loop woke."""
    max_dropped: Whole = 0
    """Most messages dropped because a client's backlog was full."""
    max_late: Whole | None = None
    """Most messages that waited for a connection or for the broker's quota; no limit when left out."""


class Scenario(Strict):
    """One experiment: a target, identities, groups, stages and thresholds."""

    name: Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    """Short name; it becomes part of the run's folder."""
    description: Text = ""
    """What the experiment shows, for people."""
    seed: Annotated[int, Field(strict=True, ge=0, lt=1 << 63)] = 1
    """Seed of all chance: the same seed and file give the same plan."""
    target: Target
    """The system under test."""
    identities: Annotated[dict[Name, IdentitySet], Field(min_length=1)]
    """Sets of certificates by name."""
    groups: Annotated[dict[Name, Group], Field(min_length=1)]
    """Groups of clients by name; the order is kept."""
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    """What happens one after the other."""
    faults: Faults = ()
    """What is done to the target meanwhile, and when it is healed."""
    certificates: tuple[CertificateStep, ...] = ()
    """What happens to the clients' certificates meanwhile."""
    thresholds: dict[
        str,
        Annotated[
            tuple[Rule, ...],
            BeforeValidator(
                one_or_many, json_schema_input_type=str | ThresholdRule | list[str | ThresholdRule]
            ),
        ],
    ] = Field(default={})
    """What must hold: expressions such as `p99 < 250ms` by metric."""
    drift: Drift = Drift()
    """What must not creep up while the load stays the same."""
    generator: GeneratorLimits = GeneratorLimits()
    """When the generator itself makes the run INVALID."""

    _source: Path | None = PrivateAttr(default=None)
    _warnings: tuple[Problem, ...] = PrivateAttr(default=())

    @property
    def source(self) -> Path | None:
        """The file it was loaded from."""
        return self._source

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is allowed but probably not meant; to be shown before the run."""
        return self._warnings

    def with_origin(self, source: Path, warnings: Sequence[Problem]) -> Scenario:
        """Give the same scenario, knowing its file and what is odd in it."""
        copy = self.model_copy()
        copy._source = source  # noqa: SLF001
        copy._warnings = tuple(warnings)  # noqa: SLF001
        return copy

    def __eq__(self, other: object) -> bool:
        """Equal when the content is, wherever it was loaded from."""
        return isinstance(other, Scenario) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]

    def parsed_thresholds(self) -> tuple[ThresholdSpec, ...]:
        """Give every threshold expression in parts, in the order of the file.

        Raises:
            ConfigError: an expression is malformed; cannot happen after `load_scenario`.
        """
        return parse_thresholds(self.thresholds)

    def to_yaml(self) -> str:
        """Write the scenario as run: defaults filled in, secrets as references, loadable again."""
        dumped = self.model_dump(mode="json", exclude_none=True, by_alias=True)
        return yaml.safe_dump(dumped, sort_keys=False, allow_unicode=True, width=110)
