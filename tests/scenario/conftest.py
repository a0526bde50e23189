"""A small valid scenario to be made wrong in one place, and a way to see what is said about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from loadgen.errors import ConfigError, Problem
from loadgen.scenario.load import load_scenario

if TYPE_CHECKING:
    from pathlib import Path

METRICS = {"publish_latency": "duration", "delivery_latency": "duration", "messages_lost": "count"}

Complain = Callable[..., list[str]]


@pytest.fixture
def base() -> dict[str, Any]:
    return {
        "name": "test",
        "target": {"uris": ["mqtts://127.0.0.1:8883"]},
        "identities": {"devices": {"issue": {"count": 20, "common_name": "APM{index:05d}"}}},
        "groups": {
            "sensors": {
                "clients": 10,
                "identity": "devices",
                "publish": {"topic": "site/{index}/temp", "qos": 1, "rate": "0.5/s"},
            },
            "dashboards": {
                "clients": 2,
                "identity": "devices",
                "client_id": "dash-{index}",
                "subscribe": {"filter": "site/+/temp", "qos": 1},
            },
        },
        "stages": [
            {"name": "connect", "connect": "200/s"},
            {"name": "steady", "hold": "1m"},
            {"name": "drain", "drain": "10s"},
        ],
        "thresholds": {"publish_latency": ["p99 < 250ms"], "messages_lost": ["count == 0"]},
    }


@pytest.fixture
def complain(tmp_path: Path) -> Complain:
    """Load a scenario given as text or data; give its problems as lines without the folder."""

    def complain(scenario: str | dict[str, Any], *overrides: str) -> list[str]:
        path = tmp_path / "s.yaml"
        text = scenario if isinstance(scenario, str) else yaml.safe_dump(scenario, sort_keys=False)
        path.write_text(text, encoding="utf-8")
        try:
            loaded = load_scenario(path, overrides=overrides, metrics=METRICS)
        except ConfigError as error:
            problems: Sequence[Problem] = error.problems
        else:
            problems = loaded.warnings
        prefix = {True: "warning: ", False: ""}
        return [f"{prefix[problem.warning]}{problem}".replace(f"{tmp_path}/", "") for problem in problems]

    return complain
