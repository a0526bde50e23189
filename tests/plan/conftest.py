from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from loadgen.identity.identity import Identity
from loadgen.plan.plan import Plan, make_plan
from loadgen.scenario.load import load_scenario

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from loadgen.scenario.model import Scenario

    MakePlan = Callable[..., Plan]
    MakeScenario = Callable[..., Scenario]

SENSORS: dict[str, Any] = {
    "clients": 6,
    "identity": "devices",
    "publish": {"topic": "site/{index}/temp", "qos": 1, "rate": "2/s", "payload": "64B"},
}
BOARDS: dict[str, Any] = {
    "clients": 2,
    "identity": "devices",
    "client_id": "board-{index}",
    "subscribe": {"filter": "site/+/temp", "qos": 1},
}
STAGES: list[dict[str, Any]] = [
    {"name": "connect", "connect": "100/s"},
    {"name": "warm", "hold": "5s", "load": "50%"},
    {"name": "steady", "hold": "10s"},
    {"name": "drain", "drain": "5s"},
]


def identity(name: str, **sans: tuple[str, ...]) -> Identity:
    """A certificate that no file stands behind: a plan only reads its names."""
    return Identity(name, name, "0A", "", sans, f"CN={name}", 0.0, 4e9, f"{name}.pem", f"{name}.key")


@pytest.fixture
def scenario(tmp_path: Path) -> MakeScenario:
    def make(**changes: Any) -> Scenario:  # noqa: ANN401 - YAML
        document: dict[str, Any] = {
            "name": "plan",
            "target": {"uris": [f"mqtts://127.0.0.{n}:8883" for n in (1, 2, 3)]},
            "identities": {"devices": {"issue": {"count": 6, "common_name": "dev{index:03d}"}}},
            "groups": {"sensors": SENSORS, "boards": BOARDS},
            "stages": STAGES,
        } | changes
        path = tmp_path / "scenario.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        return load_scenario(path)

    return make


@pytest.fixture
def plan(scenario: MakeScenario) -> MakePlan:
    def make(names: list[str] | None = None, **changes: Any) -> Plan:  # noqa: ANN401 - YAML
        identities = [identity(name) for name in names or [f"dev{n:03d}" for n in range(6)]]
        return make_plan(scenario(**changes), {"devices": identities})

    return make
