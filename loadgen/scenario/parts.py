"""What can be checked of a scenario, even when other parts of it are wrong.

All problems are to be told at once. So when some part does not validate, the checks across parts
still run over those that do.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from loadgen.scenario.certificates import CertificateStep
from loadgen.scenario.drift import Drift
from loadgen.scenario.explain import follows, locate
from loadgen.scenario.faults import Fault, with_names
from loadgen.scenario.groups import Group
from loadgen.scenario.identities import IdentitySet
from loadgen.scenario.stages import Stage
from loadgen.scenario.target import Target
from loadgen.scenario.threshold_rules import ThresholdRule

_STAND_INS: dict[str | int, object] = {
    "clients": 1,
    "client_id": "{serial}",
    "qos": 0,
    "rate": "1/s",
    "total_rate": "1/s",
    "topic": "x",
    "filter": "x",
    "connect": "1/s",
    "hold": "1s",
    "drain": "1s",
}
"""For wrong values, so that the rest of a group or stage can still be checked. A serial number is not known
before certificates are made, so a client id of it makes no duplicates."""

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic_core import ErrorDetails

    from loadgen.scenario.document import Place
    from loadgen.scenario.model import Scenario

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a scenario by name; None stands for one that is there but is wrong in itself."""

    identities: Mapping[str, IdentitySet | None]
    groups: Mapping[str, Group | None]
    stages: Sequence[Stage | None]
    thresholds: Mapping[str, Sequence[ThresholdRule]]
    embedded: bool = False
    """Whether the target is the embedded broker."""
    target: Target | None = None
    faults: Sequence[Fault | None] = ()
    certificates: Sequence[CertificateStep | None] = ()
    drift: Drift | None = None


def parts_of(scenario: Scenario) -> Parts:
    """Give the parts of a scenario that validated."""
    return Parts(
        scenario.identities,
        scenario.groups,
        scenario.stages,
        scenario.thresholds,
        scenario.target.kind == "embedded",
        scenario.target,
        scenario.faults,
        scenario.certificates,
        scenario.drift,
    )


def salvage(data: object, errors: Sequence[ErrorDetails]) -> Parts:
    """Give the parts that are right once what the errors name is taken out."""
    pruned = copy.deepcopy(data)
    for error in errors:
        if error["type"] != "missing" and not follows(error):
            _take_out(pruned, locate(data, error["loc"]), unknown=error["type"] == "extra_forbidden")
    identities = _section(pruned, "identities")
    groups = _section(pruned, "groups")
    stages = pruned.get("stages") if isinstance(pruned, dict) else None
    thresholds = _section(pruned, "thresholds")
    target = _section(pruned, "target")
    faults = pruned.get("faults") if isinstance(pruned, dict) else None
    steps = pruned.get("certificates") if isinstance(pruned, dict) else None
    return Parts(
        {name: _try(IdentitySet, value) for name, value in identities.items()},
        {name: _try(Group, value) for name, value in groups.items()},
        [_try(Stage, value) for value in stages] if isinstance(stages, list) else [],
        {key: _rules(value) for key, value in thresholds.items()},
        target.get("kind") == "embedded",
        _try(Target, target),
        with_names([_try(Fault, value) for value in faults]) if isinstance(faults, list) else (),
        [_try(CertificateStep, value) for value in steps] if isinstance(steps, list) else (),
        _try(Drift, _section(pruned, "drift")),
    )


def _take_out(data: object, place: Place, *, unknown: bool) -> None:
    """Remove a wrong value; entries of sections and lists stay as None, since others refer to them."""
    if not place:
        return
    for step in place[:-1]:
        if isinstance(data, dict):
            data = data.get(step)
        elif isinstance(data, list) and isinstance(step, int) and step < len(data):
            data = data[step]
    last = place[-1]
    if isinstance(data, list) and isinstance(last, int) and last < len(data):
        data[last] = None
    elif isinstance(data, dict) and (len(place) > 2 or unknown):
        data.pop(last, None)
        if not unknown and last in _STAND_INS:
            data[last] = _STAND_INS[last]
        elif unknown and place[0] == "groups" and len(place) == 3:
            # The unknown key may have been meant as the client id.
            data.setdefault("client_id", _STAND_INS["client_id"])
    elif isinstance(data, dict) and last in data:
        data[last] = None


def _section(data: object, key: str) -> Mapping[str, object]:
    section = data.get(key) if isinstance(data, dict) else None
    return section if isinstance(section, dict) else {}


def _try(model: type[Model], value: object) -> Model | None:
    try:
        return model.model_validate(value)
    except ValidationError:
        return None


_ANY_METRIC = ThresholdRule(threshold="count >= 0")


def _rules(value: object) -> tuple[ThresholdRule, ...]:
    """Those that are right, each in its place; where one is wrong stands what is right for any metric."""
    written = value if isinstance(value, list) else [value]
    rules = [_try(ThresholdRule, {"threshold": each} if isinstance(each, str) else each) for each in written]
    return tuple(rule or _ANY_METRIC for rule in rules)
