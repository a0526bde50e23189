from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import loadgen.scenario.schema as module
from loadgen.scenario.schema import json_schema, properties_at, schema_text


def test_the_committed_schema_is_fresh() -> None:
    committed = Path(module.__file__).with_name("scenario.schema.json")
    assert committed.read_text(encoding="utf-8") == schema_text(), (
        "run: loadgen schema > loadgen/scenario/scenario.schema.json"
    )


def test_is_a_schema_that_takes_and_refuses(base: dict[str, Any]) -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    validator.check_schema(json_schema())
    validator.validate(base)
    for place, value in (
        (("groups", "sensors", "clients"), "ten"),
        (("groups", "sensors", "keep_alive"), 30),
        (("groups", "sensors", "publish", "rate"), 5),
        (("groups", "sensors", "publish", "qos"), 2),
        (("groups", "sensors", "cleints"), 5),
        (("stages", 1, "hold"), "1 minute"),
        (("target", "uris", 0), "mqtt://h"),
    ):
        data = yaml.safe_load(yaml.safe_dump(base))
        parent = data
        for step in place[:-1]:
            parent = parent[step]
        parent[place[-1]] = value
        assert not validator.is_valid(data), place


def test_defaults_are_written_as_in_a_file() -> None:
    group = json_schema()["$defs"]["Group"]["properties"]
    assert group["keep_alive"]["default"] == "1m"
    assert group["client_id"]["default"] == "{cn}"
    assert group["reconnect"]["default"]["backoff"] == "200ms..10s"


def test_every_key_is_described() -> None:
    schema = json_schema()
    for model in (schema, *schema["$defs"].values()):
        for key, value in model.get("properties", {}).items():
            assert value.get("description") or "$ref" in value, (model["title"], key)


@pytest.mark.parametrize(
    ("place", "key"),
    [
        ((), "seed"),
        (("groups", "any"), "clients"),
        (("groups", "any", "publish"), "topic"),
        (("groups", "any", "publish", 0), "topic"),
        (("stages", 3), "hold"),
        (("target", "management", "password"), "env"),
    ],
)
def test_keys_by_place(place: tuple[str | int, ...], key: str) -> None:
    assert key in properties_at(json_schema(), place)


def test_no_keys_where_names_are_free() -> None:
    assert properties_at(json_schema(), ("groups",)) == {}
