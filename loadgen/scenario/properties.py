"""MQTT user properties: names with template values, in order, a name more than once if wanted."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

from loadgen.scenario.base import Text, malformed
from loadgen.scenario.template import ConnectedTemplate, Template

UserProperty = tuple[Text, ConnectedTemplate]


def _pairs(value: object) -> object:
    if isinstance(value, dict):
        return tuple(value.items())
    if not isinstance(value, list | tuple):
        raise malformed("must be names with values", 'write for example {site: north, name: "{cn}"}')
    return value


def _without_pairs(pairs: tuple[tuple[str, Template], ...]) -> dict[str, str] | list[list[str]]:
    """Write a mapping, or a list of pairs when a name comes twice, as MQTT allows."""
    if len({name for name, _ in pairs}) == len(pairs):
        return {name: template.text for name, template in pairs}
    return [[name, template.text] for name, template in pairs]


UserProperties = Annotated[
    tuple[UserProperty, ...],
    BeforeValidator(_pairs, json_schema_input_type=dict[str, ConnectedTemplate] | list[UserProperty]),
    PlainSerializer(_without_pairs),
]
"""A mapping in the file, or a list of [name, value]."""
