"""The faults of a plan: every repetition, in the order of time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from loadgen.plan.faults import plan_faults
from loadgen.plan.needs import needs_of, summary

if TYPE_CHECKING:
    from tests.plan.conftest import MakePlan, MakeScenario

S = 1_000_000_000
FAULTS = [
    {"at": "steady+4s", "kill": "busiest", "heal_after": "1s", "repeat": {"times": 3, "every": "2s"}},
    {"at": "steady+7s", "slow": ["rabbit1"], "delay": "50ms", "jitter": "5ms", "heal_after": "end"},
    {"at": "warm+4s", "name": "early", "run": "pause-it", "heal": "resume-it"},
    {"at": "steady+9s", "rolling-restart": "all", "between": "1s", "maintenance": True, "graceful": False},
    {"at": "steady+4s", "reset": "all", "share": "50%"},
]


def test_every_injection_in_the_order_of_time(scenario: MakeScenario) -> None:
    made = plan_faults(scenario(faults=FAULTS))
    assert [(each.name, each.at) for each in made] == [
        ("early", "warm+4s"),
        ("kill#1", "steady+4s"),
        ("reset", "steady+4s"),
        ("kill#2", "steady+6s"),
        ("slow", "steady+7s"),
        ("kill#3", "steady+8s"),
        ("rolling-restart", "steady+9s"),
    ]
    assert [each.number for each in made] == list(range(7))
    assert [each.entry for each in made] == [2, 0, 4, 0, 1, 0, 3]
    assert {each.fault for each in made if each.name.startswith("kill")} == {"kill"}


def test_settings_of_each_kind(scenario: MakeScenario) -> None:
    early, kill, reset, _, slow, _, tour = plan_faults(scenario(faults=FAULTS))
    assert (early.command, early.heal_command, early.targets) == ("pause-it", "resume-it", ())
    assert (early.heals, early.heal_after, early.heal_at_end) == (True, None, False)
    assert (kill.targets, kill.heal_after, kill.stage, kill.offset) == (("busiest",), S, "steady", 4 * S)
    assert (reset.share, reset.heals) == (0.5, False)
    assert (slow.delay, slow.jitter, slow.heal_after, slow.heal_at_end) == (S // 20, S // 200, None, True)
    assert (tour.between, tour.maintenance, tour.graceful, tour.heals) == (S, True, False, False)
    assert [each.healed for each in (early, kill, reset, slow, tour)] == [
        "healed when the drain begins",
        "healed after 1s",
        "heals by itself",
        "healed at the end",
        "heals by itself",
    ]
    assert (early.what, kill.what) == ("run pause-it", "kill busiest")
    assert (slow.what, reset.what) == ("slow rabbit1 by 50ms", "reset all, 50% of its connections")


def test_the_plan_has_them_and_its_summary_tells_them(plan: MakePlan) -> None:
    made = plan(faults=FAULTS[:1])
    assert made.faults == plan_faults(made.scenario)
    told = json.loads(json.dumps(summary(made, needs_of(made, 1))))
    assert told["faults"][1] == {
        "name": "kill#2",
        "at": "steady+6s",
        "kind": "kill",
        "targets": ["busiest"],
        "what": "kill busiest",
        "healed": "healed after 1s",
    }
    assert plan().faults == ()
