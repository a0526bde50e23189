from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from loadgen.scenario.target import Target

URIS = ["mqtts://127.0.0.1:8883", "mqtts://127.0.0.2:8883"]


def target(**control: Any) -> Target:  # noqa: ANN401 - YAML
    return Target.model_validate({"uris": URIS, "control": control})


@pytest.mark.parametrize(
    ("control", "kind", "nodes"),
    [
        ({"local": ".loadgen/cluster"}, "local", ()),
        ({"compose": "docker-compose.yml", "services": ["a", "b"]}, "compose", ("a", "b")),
        ({"compose": "c.yml", "services": ["a", "b"], "project": "p"}, "compose", ("a", "b")),
        ({"kubernetes": {"namespace": "mq", "pods": ["a-0", "a-1"]}}, "kubernetes", ("a-0", "a-1")),
    ],
)
def test_kinds(control: dict[str, Any], kind: str, nodes: tuple[str, ...]) -> None:
    made = target(**control)
    assert made.control is not None
    assert (made.control.kind, made.control.nodes) == (kind, nodes)
    assert Target.model_validate(made.model_dump(mode="json", by_alias=True)) == made


@pytest.mark.parametrize(
    ("control", "what"),
    [
        ({}, "exactly one of local, compose and kubernetes, and has none"),
        ({"local": "a", "compose": "b", "services": ["a", "b"]}, "has local and compose"),
        ({"local": "a", "services": ["a", "b"]}, "belong to compose"),
        ({"local": "a", "project": "p"}, "belong to compose"),
        ({"compose": "b"}, "no services are named"),
        ({"compose": "b", "services": ["a"]}, "services of control names 1 nodes, and uris 2"),
        ({"compose": "b", "services": ["a", "a"]}, "names a node twice"),
        ({"kubernetes": {"namespace": "n", "pods": ["a"]}}, "pods of control names 1 nodes"),
        ({"kubernetes": {"namespace": "n", "pods": []}}, "at least 1 item"),
        ({"kubernetes": {"pods": ["a", "b"]}}, "Field required"),
        ({"ssh": "x"}, "Extra inputs"),
    ],
)
def test_refused(control: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        target(**control)


def test_the_embedded_broker_is_not_controlled() -> None:
    with pytest.raises(ValidationError, match="neither management API nor node control"):
        Target.model_validate({"kind": "embedded", "control": {"local": "x"}})
