"""What the workers said: how far each is, who has finished, who is lost, who is silent."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

from loadgen.backend.messages import Failed, Final, Progress, Ready

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_SILENCE = 10.0
"""A worker that says nothing for so long (s), and it speaks 5 times in a second, is given up."""
LONGEST_FINAL_SILENCE = 30.0
"""The same while workers disconnect and hand over their part of the ledger, which takes them a while."""
_OVERSLEPT = 3.0
"""The coordinator looks once a second or more often; after a longer gap (s) it was stopped itself."""


@dataclass(slots=True)
class WorkerNews:
    """Everything heard from the workers of a run but their snapshots."""

    workers: int
    finals: list[Final] = field(default_factory=list)
    failures: list[Failed] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    """What became of each worker that did not finish."""
    silence: float = 0.0
    """Longest silence of a worker, s."""
    silence_limit: float = LONGEST_SILENCE
    """After how much of it (s) a worker is given up."""
    _set_up: int = 0
    _progress: dict[int, Progress] = field(default_factory=dict)
    _heard: dict[int, float] = field(default_factory=dict)
    _checked: float = field(default_factory=monotonic)

    def take(self, message: Progress | Ready | Final | Failed) -> None:
        """Note a message."""
        if isinstance(message, Progress):
            self._hear(message.worker)
            self._progress[message.worker] = message
        elif isinstance(message, Ready):
            self._set_up += 1
        else:
            self._heard.pop(message.worker, None)
            if isinstance(message, Final):
                self.finals.append(message)
            else:
                self.failures.append(message)
                self.lost.append(message.what)

    def _hear(self, worker: int) -> None:
        now = monotonic()
        before = self._heard.get(worker)
        if before is not None:
            self.silence = max(self.silence, now - before)
        self._heard[worker] = now

    def silent(self) -> Iterator[tuple[int, float]]:
        """Look at the clock; give the workers that are silent beyond the limit, and for how long (s)."""
        now = monotonic()
        slept = now - self._checked > _OVERSLEPT
        self._checked = now
        for worker, before in tuple(self._heard.items()):
            self.silence = max(self.silence, now - before)
            if slept:
                # It is us who did not listen: what it said meanwhile waits in the pipe.
                self._heard[worker] = now
            elif now - before > self.silence_limit:
                yield worker, now - before

    @property
    def all_set_up(self) -> bool:
        """Whether every worker has its shard."""
        return self._set_up >= self.workers

    @property
    def all_ended(self) -> bool:
        """Whether every worker has finished or is lost."""
        return len(self.finals) + len(self.lost) >= self.workers

    @property
    def ready(self) -> int:
        """Clients that are connected and subscribed."""
        return sum(each.ready for each in self._progress.values())

    @property
    def failed(self) -> int:
        """Clients that gave up."""
        return sum(each.failed for each in self._progress.values())

    @property
    def away(self) -> int:
        """Clients that were ready and lost their connection against our will."""
        return sum(each.away for each in self._progress.values())

    @property
    def unique(self) -> int:
        """Distinct deliveries so far."""
        return sum(each.unique for each in self._progress.values())

    @property
    def pending(self) -> int:
        """Clients of the connect stage that are neither."""
        return sum(each.pending for each in self._progress.values())

    def connected(self, stage: str) -> bool:
        """Whether no client of the connect stage is pending, on any worker."""
        return self._all_in(stage) and not self.pending

    def returning(self, step: int) -> int | None:
        """Clients of a certificate step that are not back; None while not every worker knows of the step."""
        known = [each.returning.get(step) for each in self._progress.values()]
        left = [each for each in known if each is not None]
        return sum(left) if len(left) == self.workers else None

    def settled(self, stage: str) -> bool:
        """Whether all workers drain, nothing is under way, and all that was due has arrived."""
        known = self._progress.values()
        return self.quiet(stage) and sum(each.unique for each in known) >= sum(
            each.expected for each in known
        )

    def quiet(self, stage: str) -> bool:
        """Whether all workers drain, and every publish was answered."""
        known = self._progress.values()
        return self._all_in(stage) and not any(each.inflight or each.backlog for each in known)

    def _all_in(self, stage: str) -> bool:
        known = self._progress.values()
        return len(known) == self.workers and all(each.stage == stage for each in known)
