"""What handshakes leave behind is given back when all are connected, and never while messages are due."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadgen.engine import fleet
from loadgen.engine.health import give_back_memory, process_usage

if TYPE_CHECKING:
    import pytest

    from tests.engine.conftest import Run
    from tests.engine.rig import Rigs


def test_once_when_the_last_is_connected(rigs: Rigs, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    ready: list[int] = []

    async def scenario() -> None:
        async with rigs.broker() as broker:
            plan = rigs.plan(broker.port, {"g": {"clients": 5}})
            async with rigs.rig(plan) as rig:
                monkeypatch.setattr(
                    fleet, "give_back_memory", lambda: ready.append(rig.fleet.progress()["ready"])
                )
                await rig.connect()
                await rig.hold("steady")

    run(scenario())
    assert ready == [5]


def test_it_can_be_done_anywhere() -> None:
    before = process_usage()[1]
    give_back_memory()
    assert process_usage()[1] <= before * 1.1
