"""The scenario files that come with the project load without a word; each is run by other tests."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from loadgen.metrics.catalog import THRESHOLD_METRICS, THRESHOLD_SELECTORS
from loadgen.scenario.load import load_scenario
from loadgen.scenario.schema import json_schema

FOLDER = Path(__file__).parents[2] / "scenarios"
FILES = sorted(FOLDER.glob("*.yaml"))


def test_the_three_are_there() -> None:
    assert {"quickstart.yaml", "rabbitmq-smoke.yaml", "fleet-telemetry.yaml"} <= {file.name for file in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_loads_without_warnings(path: Path) -> None:
    scenario = load_scenario(path, metrics=THRESHOLD_METRICS, selectors=THRESHOLD_SELECTORS)
    assert scenario.warnings == ()
    assert scenario.name == path.stem
    assert scenario.description
    # Of clients that nobody lets in there are no messages to count; the matrix shall fail over that alone.
    assert "messages_lost" in scenario.thresholds or path.stem == "auth-matrix"
    jsonschema.Draft202012Validator(json_schema()).validate(yaml.safe_load(path.read_text(encoding="utf-8")))


def test_quickstart_is_small_and_short() -> None:
    scenario = load_scenario(FOLDER / "quickstart.yaml")
    assert scenario.target.kind == "embedded"
    assert sum(group.clients for group in scenario.groups.values()) == 100
    assert sum(stage.duration or 0 for stage in scenario.stages) < 30_000_000_000


def test_smoke_has_both_qos_on_three_nodes() -> None:
    scenario = load_scenario(FOLDER / "rabbitmq-smoke.yaml")
    assert len(scenario.target.uris) == 3
    assert sum(group.clients for group in scenario.groups.values()) == 300
    assert {publish.qos for group in scenario.groups.values() for publish in group.publish} == {0, 1}


def test_fleet_names_its_devices() -> None:
    scenario = load_scenario(FOLDER / "fleet-telemetry.yaml")
    issue = scenario.identities["devices"].issue
    assert issue is not None
    assert issue.common_name.render({"index": 0, "set": "devices"}) == "APM00000"
    properties = {name: str(value) for name, value in scenario.groups["devices"].user_properties}
    assert properties == {"client_type": "APM", "client_name": "{cn}"}
    assert {group.identity for group in scenario.groups.values()} == {"devices"}
