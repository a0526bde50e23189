from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from loadgen.broker.fault_targets import WORDS
from loadgen.broker.faults import KINDS
from loadgen.scenario.faults import FAULT_KINDS, TARGET_WORDS, Fault, Moment, with_names

S = 1_000_000_000


def fault(**settings: Any) -> Fault:  # noqa: ANN401 - YAML
    settings = {key.replace("_restart", "-restart"): value for key, value in settings.items()}
    return Fault.model_validate({"at": "steady+30s", **settings})


def test_the_example_of_the_design() -> None:
    made = fault(kill="busiest", heal_after="20s")
    assert (made.kind, made.targets, made.heal_after) == ("kill", ("busiest",), 20 * S)
    assert made.at == Moment("steady", 30 * S)
    assert made.heals
    assert made.name == "", "given by the scenario, which knows the others"
    assert made.times == 1


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_each_kind_comes_back_as_written(kind: str) -> None:
    more = {"slow": {"delay": "50ms", "jitter": "5ms"}, "reset": {"share": "12.5%"}, "run": {"heal": "true"}}
    settings = {"at": "steady+1500ms", "name": "x", kind: "false", **more.get(kind, {})}
    made = Fault.model_validate(settings)
    assert made.kind == kind
    assert made.targets == (() if kind == "run" else ("false",))
    dumped = made.model_dump(mode="json", by_alias=True)
    assert Fault.model_validate(dumped) == made
    assert settings.items() <= {**dumped, kind: settings[kind]}.items()
    others = set(FAULT_KINDS) - {kind} | {"heal_after", "repeat"}
    assert not others & dumped.keys(), "the scenario as run shows what belongs to the kind"


def test_healing() -> None:
    assert fault(stop="all", heal_after="end").heal_after == "end"
    assert fault(stop="all").heal_after is None
    assert not fault(reset="all").heals
    assert not fault(rolling_restart="all").heals
    assert not fault(run="true").heals
    assert fault(run="true", heal="true", heal_after="1s").heals


@given(st.text("abcX0-_", min_size=1, max_size=5), st.integers(0, 10**12))
def test_moments_come_back(stage: str, offset: int) -> None:
    moment = Moment(stage, offset)
    assert fault(at=str(moment), kill="one").at == moment


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({}, "exactly one kind of fault, and has none"),
        ({"kill": "a", "stop": "b"}, "has kill and stop"),
        ({"kill": []}, "at least 1 item"),
        ({"kill": [""]}, "no name of a node"),
        ({"kill": ["one", "a"]}, "stands for nodes"),
        ({"kill": ["a", "a"]}, "twice"),
        ({"kill": 1}, "valid tuple"),
        ({"kill": "a", "at": "+3s"}, "not a moment"),
        ({"kill": "a", "at": "steady+"}, "not a moment"),
        ({"kill": "a", "at": "steady+3"}, "needs a unit"),
        ({"kill": "a", "at": 3}, r"STAGE\+DURATION"),
        ({"kill": "a", "at": "steady+-3s"}, "not a duration"),
        ({"kill": "a", "heal_after": "never"}, "no time to heal after"),
        ({"kill": "a", "heal_after": "0s"}, "longer than 0"),
        ({"kill": "a", "heal_after": 20}, "needs a unit"),
        ({"kill": "a", "delay": "1s"}, "means nothing for a kill"),
        ({"kill": "a", "heal": "true"}, "means nothing for a kill"),
        ({"kill": "a", "between": "1s"}, "means nothing for a kill"),
        ({"kill": "a", "repeat": {"times": 0, "every": "1m"}}, "greater than or equal to 1"),
        ({"reset": "a", "heal_after": "1s"}, "a reset heals by itself"),
        ({"reset": "a", "share": "0%"}, "no share"),
        ({"reset": "a", "share": "101%"}, "no share"),
        ({"reset": "a", "share": 0.5}, "percent sign"),
        ({"rolling_restart": "all", "heal_after": "1s"}, "heals by itself"),
        ({"run": "true", "heal_after": "1s"}, "no command heals it"),
        ({"run": " "}, "is no command"),
        ({"slow": "a"}, "needs a delay"),
        ({"slow": "a", "delay": "1ms", "jitter": "2ms"}, "jitter is more than delay"),
        ({"partition": "all"}, "no other side"),
        ({"kill": "a", "name": "a b"}, "pattern"),
        ({"kill": "a", "when": "now"}, "Extra inputs"),
    ],
)
def test_refused(settings: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        fault(**settings)


def test_names_are_the_kinds_and_never_one_that_is_taken() -> None:
    faults = [fault(kill="a"), fault(stop="a"), fault(kill="a"), None, fault(kill="a", name="kill-2")]
    names = [each.name if each is not None else None for each in with_names(faults)]
    assert names == ["kill", "stop", "kill-3", None, "kill-2"]


def test_repetitions_have_names_of_their_own() -> None:
    (made,) = with_names([fault(kill="one", heal_after="5s", repeat={"times": 3, "every": "1m"})])
    assert made is not None
    assert made.names == ("kill#1", "kill#2", "kill#3")
    (once,) = with_names([fault(kill="one")])
    assert once is not None
    assert once.names == ("kill",)


def test_the_words_are_those_of_node_control() -> None:
    assert set(TARGET_WORDS) == set(WORDS)
    assert set(FAULT_KINDS) == KINDS


def test_a_word_is_no_name_of_a_node_among_others() -> None:
    for word in TARGET_WORDS:
        assert fault(kill=word).targets == fault(kill=[word]).targets == (word,)
