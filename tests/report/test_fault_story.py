from __future__ import annotations

from typing import Any

import pytest

from loadgen.report.fault_story import fault_story
from tests.report.rich_runs import fault, rich_timeline


@pytest.fixture
def kill() -> dict[str, Any]:
    return fault(0, 25.0, rich_timeline())


def told(entry: dict[str, Any], clients: int | None = None) -> dict[str, str]:
    return dict(fault_story(entry, clients))


def test_a_kill_is_told_from_the_deed_to_the_messages(kill: dict[str, Any]) -> None:
    story = told(kill, 300)
    assert list(story) == ["What was done", "Who was hit", "The fleet", "Messages"]
    done = "rabbit1 was killed (SIGKILL) 25s into the run. It served again 8.00 s later."
    assert story["What was done"] == done
    hit = story["Who was hit"]
    assert hit.startswith("40 of 300 clients lost their connection (closed by the broker")
    assert "The last of them noticed 3.00 ms after it happened to its node." in hit
    assert "Half were connected and subscribed again within 577 ms" in hit
    assert "the last after 977 ms." in hit
    assert "below 90 % of the" in story["The fleet"]
    assert "for 1.50 s in all; at worst 0 % of it came through." in story["The fleet"]
    assert "Its clients and the rate were back 1.50 s after the fault." in story["The fleet"]
    assert "none that the broker had acknowledged is missing" in story["Messages"]
    assert "2 arrived more than once" in story["Messages"]


def test_a_loss_is_called_a_loss(kill: dict[str, Any]) -> None:
    kill["ledger"]["lost"] = 3
    messages = told(kill)["Messages"]
    assert "3 never came although the broker had acknowledged the message: they are LOST." in messages
    assert "none" not in messages


def test_what_did_not_happen_is_not_told_as_if(kill: dict[str, Any]) -> None:
    kill["injected_at"] = None
    assert told(kill) == {
        "What was done": "The fault kill did not happen, so this run says nothing about it."
    }


def test_a_fleet_that_is_not_well_again(kill: dict[str, Any]) -> None:
    kill.update(recovered_at=None, healed_at=None, not_back=7, cut_again=2)
    story = told(kill)
    assert "Not all its clients and the rate were back when the run ended." in story["The fleet"]
    assert "7 were not back when the run ended." in story["Who was hit"]
    assert "2 were cut more than once." in story["Who was hit"]
    assert "later" not in story["What was done"]


def test_nobody_was_hit(kill: dict[str, Any]) -> None:
    kill.update(affected=0, kind="slow", noticed_by={})
    kill["outage"] = {"seconds": 0.0, "first_low_at": None, "bin": 0.1}
    story = told(kill)
    assert story["Who was hit"] == "No client lost its connection."
    assert "was slowed down for its clients" in story["What was done"]
    assert "As a whole the fleet kept going" in story["The fleet"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"nodes": ["a", "b", "c"]},
            "a, b and c were killed (SIGKILL), from 25s into the run on. All served",
        ),
        (
            {"kind": "rolling-restart", "nodes": ["a", "b"]},
            "a and b were restarted one after the other, from 2",
        ),
        (
            {"kind": "mark", "name": "rack 2 off", "nodes": []},
            "Somebody marked “rack 2 off” 25s into",
        ),
        ({"kind": "run", "name": "cut", "nodes": []}, "The fault cut began 25s into the run."),
        ({"kind": "pause"}, "rabbit1 was made to hang (SIGSTOP) 25s into the run. It went on 8.00 s later."),
    ],
)
def test_deeds(kill: dict[str, Any], changes: dict[str, Any], words: str) -> None:
    assert words in told(kill | changes)["What was done"]
