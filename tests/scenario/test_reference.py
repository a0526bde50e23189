"""docs/scenario.md names every key, and its example loads."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from loadgen.scenario.faults import Fault
from loadgen.scenario.load import load_scenario
from loadgen.scenario.schema import json_schema

TEXT = (Path(__file__).parents[2] / "docs" / "scenario.md").read_text(encoding="utf-8")


def test_every_key_is_in_the_reference() -> None:
    named = {part for code in re.findall(r"`([^`\n]+)`", TEXT) for part in re.findall(r"[\w-]+", code)}
    schema = json_schema()
    keys = {key for model in (schema, *schema["$defs"].values()) for key in model.get("properties", {})}
    assert keys - named == set()


def test_the_examples_of_faults_are_faults() -> None:
    examples = [yaml.safe_load(each) for each in re.findall(r"```yaml\n(.*?)```", TEXT, flags=re.DOTALL)]
    (faults,) = (each["faults"] for each in examples if list(each) == ["faults"])
    assert {Fault.model_validate(each).kind for each in faults} == {"kill", "rolling-restart", "run"}


def test_the_example_loads(tmp_path: Path) -> None:
    example = re.findall(r"```yaml\n(.*?)```", TEXT, flags=re.DOTALL)[0]
    path = tmp_path / "s.yaml"
    path.write_text(example, encoding="utf-8")
    assert load_scenario(path).warnings == ()
