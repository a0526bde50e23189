from __future__ import annotations

import pytest

from loadgen.errors import LocalProtocolError, RemoteProtocolError
from loadgen.mqtt.config import SessionConfig
from loadgen.mqtt.core import SessionCore
from loadgen.mqtt.state import TRANSITIONS, State, Step


def test_every_state_has_a_row_and_is_reached() -> None:
    reached = {State.IDLE} | {following for row in TRANSITIONS.values() for following in row.values()}
    assert set(TRANSITIONS) == set(State) == reached


def test_losing_the_connection_is_possible_everywhere() -> None:
    assert all(row[Step.LOST] is State.IDLE for row in TRANSITIONS.values())


def test_nothing_is_sent_unless_connected() -> None:
    assert [state for state, row in TRANSITIONS.items() if Step.SEND in row] == [State.CONNECTED]


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("step", Step)
def test_a_step_that_is_missing_blames_its_side(state: State, step: Step) -> None:
    core = SessionCore(SessionConfig("c"))
    core.state = state
    if step in TRANSITIONS[state]:
        core._step(step)
        assert core.state is TRANSITIONS[state][step]
        return
    with pytest.raises(LocalProtocolError if step.is_local else RemoteProtocolError):
        core._step(step)
    assert core.state is state
