"""The JSON Schema of scenario files, for editors and for naming what a place may hold."""

from __future__ import annotations

import copy
import functools
import json
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import GenerateJsonSchema

from loadgen.scenario.model import Scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import core_schema

    from loadgen.scenario.document import Place

Schema = dict[str, Any]


class _AsWritten(GenerateJsonSchema):
    """Shows defaults as the file would write them: `10s`, not nanoseconds."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        default = self.get_default_value(schema)
        serializer = _serializer(schema["schema"])
        if default is not None and serializer is not None:
            schema = {**schema, "default": serializer(default)}
        return super().default_schema(schema)


def _serializer(schema: Any) -> Callable[[Any], Any] | None:  # noqa: ANN401  # pydantic's union of core schemas
    while isinstance(schema, dict):
        found = schema.get("serialization", {})
        if found.get("type") == "function-plain":
            function: Callable[[Any], Any] = found["function"]
            return function
        schema = schema.get("schema")
    return None


def json_schema() -> Schema:
    """Give the JSON Schema (2020-12) of a scenario file."""
    return copy.deepcopy(cached_schema())


@functools.cache
def cached_schema() -> Schema:
    """Give the schema, made once; not to be changed."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Scenario.model_json_schema(mode="validation", schema_generator=_AsWritten),
        "title": "loadgen scenario",
    }


def schema_text() -> str:
    """Give the schema as the text that is committed beside this module."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def properties_at(schema: Schema, place: Place) -> dict[str, Schema]:
    """Find the keys that the mapping at a place may have, with their schemas; empty when it is free."""
    found: dict[str, Schema] = {}
    for part in _at(schema, [schema], place):
        found.update(part.get("properties", {}))
    return found


def _at(root: Schema, parts: list[Schema], place: Place) -> list[Schema]:
    candidates = [plain for part in parts for plain in _plain(root, part)]
    if not place:
        return candidates
    step, rest = place[0], place[1:]
    inner: list[Schema] = []
    for part in candidates:
        if isinstance(step, int):
            inner += [part["items"]] if isinstance(part.get("items"), dict) else []
        elif step in part.get("properties", {}):
            inner.append(part["properties"][step])
        else:
            inner += part.get("patternProperties", {}).values()
            inner += (
                [part["additionalProperties"]] if isinstance(part.get("additionalProperties"), dict) else []
            )
    return _at(root, inner, rest)


def _plain(root: Schema, part: Schema) -> Iterator[Schema]:
    """Follow references and alternatives to schemas that say something themselves."""
    if "$ref" in part:
        yield from _plain(root, root["$defs"][part["$ref"].rsplit("/", 1)[-1]])
    for alternative in part.get("anyOf", []):
        yield from _plain(root, alternative)
    yield part
