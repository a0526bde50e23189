from __future__ import annotations

from dataclasses import replace

import pytest

from loadgen.backend.messages import Account, Accounted, Progress
from loadgen.backend.worker_news import WorkerNews
from loadgen.coordination.settling import QUIET, Settling
from loadgen.metrics.ledger_result import LedgerResult

STILL = Progress(
    worker=0, ready=2, failed=0, pending=0, inflight=0, backlog=0, expected=9, unique=5, stage="drain"
)


class Scene:
    def __init__(self, owed: int = 0) -> None:
        self.news = WorkerNews(2)
        self.owed = owed
        self.asked: list[int] = []
        self.settling = Settling("drain", self.news, self._ask, lambda _parts: LedgerResult(lost=self.owed))
        self.tell(STILL)

    def _ask(self, question: Account) -> None:
        self.asked.append(question.number)

    def tell(self, progress: Progress) -> None:
        self.news.take(progress)
        self.news.take(replace(progress, worker=1))

    def look(self, *times: float) -> None:
        for now in times:
            self.settling.look(now)

    def answer(self, *workers: int, number: int | None = None) -> None:
        for worker in workers:
            self.settling.take(Accounted(worker, number or self.asked[-1], {}, {}))


def test_asked_once_after_the_quiet_time_and_settled_when_all_answered() -> None:
    scene = Scene()
    scene.look(0.0, QUIET - 0.1)
    assert scene.asked == []
    scene.look(QUIET, QUIET + 1)
    assert scene.asked == [1]
    scene.answer(0)
    assert not scene.settling.settled
    scene.answer(1)
    assert scene.settling.settled


def test_what_is_owed_is_waited_for_and_asked_for_again_when_something_came() -> None:
    scene = Scene(owed=1)
    scene.look(0.0, QUIET)
    scene.answer(0, 1)
    assert not scene.settling.settled
    scene.look(2 * QUIET, 3 * QUIET)
    assert scene.asked == [1]
    scene.tell(replace(STILL, unique=6))
    scene.owed = 0
    scene.look(40.0, 40.0 + QUIET)
    assert scene.asked == [1, 2]
    scene.answer(0, 1, number=1)
    assert not scene.settling.settled, "answers to the first question came late"
    scene.answer(0, 1)
    assert scene.settling.settled


@pytest.mark.parametrize("change", [{"inflight": 1}, {"backlog": 1}, {"away": 1}, {"stage": "steady"}])
def test_nobody_is_asked_while_something_is_under_way(change: dict[str, object]) -> None:
    scene = Scene()
    scene.tell(replace(STILL, **change))  # type: ignore[arg-type] # one of its fields
    scene.look(0.0, QUIET, 2 * QUIET)
    assert scene.asked == []
    scene.tell(STILL)
    scene.look(2 * QUIET + 1, 3 * QUIET + 1)
    assert scene.asked == [1], "the quiet begins when nothing is under way any more"
