from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from loadgen.scenario.stages import Load, Stage, parse_load


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [("50%", 0.5, 0.5), ("10%..100%", 0.1, 1.0), ("300%", 3.0, 3.0), ("100% .. 0%", 1.0, 0.0)],
)
def test_loads(text: str, start: float, end: float) -> None:
    assert parse_load(text) == Load(start, end)


@pytest.mark.parametrize("wrong", [50, "50", "a%", "10%..", "..10%", "10%...20%", "-5%", None, True])
def test_no_load(wrong: object) -> None:
    with pytest.raises(PydanticCustomError):
        parse_load(wrong)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_loads_come_back(start: int, end: int) -> None:
    load = Load(start / 1000, end / 1000)
    assert parse_load(str(load)) == load


def test_kinds() -> None:
    connect = Stage.model_validate({"name": "c", "connect": "200/s"})
    hold = Stage.model_validate({"name": "h", "hold": "2m", "load": "10%..100%", "record": False})
    drain = Stage.model_validate({"name": "d", "drain": "30s"})
    assert [stage.kind for stage in (connect, hold, drain)] == ["connect", "hold", "drain"]
    assert [stage.duration for stage in (connect, hold, drain)] == [None, 120_000_000_000, 30_000_000_000]
    assert connect.timeout == 300_000_000_000
    assert hold.timeout is None
    for stage in (connect, hold, drain):
        assert Stage.model_validate(stage.model_dump(mode="json")) == stage


@pytest.mark.parametrize(
    ("stage", "what"),
    [
        ({"name": "x"}, "and has none"),
        ({"name": "x", "hold": "1s", "drain": "1s"}, "has hold and drain"),
        ({"name": "x", "drain": "1s", "load": "50%"}, "load means nothing in a drain stage"),
        ({"name": "x", "hold": "1s", "timeout": "1s", "groups": ["a"]}, "timeout and groups mean"),
        ({"name": "x", "connect": "1/s", "groups": ["a", "a"]}, "names a group twice"),
        ({"name": "x", "hold": "0s"}, "longer than 0"),
        ({"name": "a b", "hold": "1s"}, "match pattern"),
        ({"name": "a.b", "hold": "1s"}, "match pattern"),
    ],
)
def test_refused(stage: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        Stage.model_validate(stage)
