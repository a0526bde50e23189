"""Carries out a scenario's certificate steps: tells the workers, the brokers, and sees what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, ParamSpec

from loadgen.backend.messages import ChangeCertificates, Final, Message, Trust
from loadgen.broker.view import check_view
from loadgen.certificates.rotation import Rotation, prepare_rotation
from loadgen.certificates.steps import EXPIRE, StepRun, planned_steps, step_rows, step_verdicts
from loadgen.certificates.supply import CertificateSupply
from loadgen.errors import LoadgenError
from loadgen.metrics.certificate_step import StepTally
from loadgen.plan.certificate_changes import CertificateChange
from loadgen.view_check import expected_connections

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from loadgen.identity.identity import Identity
    from loadgen.metrics.verdict import Verdict
    from loadgen.plan.plan import ClientPlan, Plan
    from loadgen.target import OpenTarget
    from loadgen.view_check import ViewCheck

P = ParamSpec("P")

_SECOND = 1_000_000_000
_LEAD = 200_000_000
"""How long before a step's moment the workers hear of it, ns."""
_RETURN_LIMIT = 60 * _SECOND
"""How long a rotation waits for clients to come back, beyond the time over which they leave, ns."""
_LOOK_LIMIT = 20.0
"""Seconds until the last look at the broker's list counts; RabbitMQ lists a connection some 5 s late."""
_LAST_WAIT = 25.0
"""Seconds for steps to be completed when the stages are over."""
_HORIZON = 86_400.0
"""Certificates that end later than so many seconds from the start are not watched."""


@dataclass(slots=True)
class Line:
    """What the runner says to the rest of the run, and hears from it."""

    send: Callable[[int, Message], None]
    """Tell a worker."""
    workers: int
    returning: Callable[[int], int | None]
    """Clients of a step that are not back; None: not known yet."""
    note: Callable[[str], None]
    event: Callable[[dict[str, Any]], None]
    warn: Callable[[str], None]
    view: ViewCheck
    """The run's look at the broker, which expects the certificates of the beginning."""
    connected_groups: Callable[[], set[str]]


class CertificateRunner:
    """See the module's docstring; one for a run."""

    def __init__(self, plan: Plan, target: OpenTarget, identities: Mapping[str, Sequence[Identity]]) -> None:
        """Know what is to be done; `attach` and `prepare` come before the run."""
        self._plan = plan
        self._target = target
        self.steps = planned_steps(plan.scenario)
        self._supply = CertificateSupply(plan, identities)
        self._now = {client.number: client for client in plan.clients}
        """Number → the client with the certificate and user properties it has now."""
        self._rotations: dict[int, Rotation] = {}
        self._waiting: dict[int, tuple[int, asyncio.Task[None]]] = {}
        """Number of the step → its moment and its task."""
        self._refused: set[str] = set()
        """Identity sets whose clients are refused, as they are to be."""
        self._look_again = False
        """The run's look was broken off, as it expected what has changed."""
        self._looks: dict[int, asyncio.Future[None]] = {}
        self._threads: list[asyncio.Future[None]] = []
        self._line: Line | None = None
        self._origin = 0

    def attach(self, line: Line) -> None:
        """Say whom to speak to."""
        self._line = line

    @property
    def line(self) -> Line:
        """Whom to speak to."""
        assert self._line is not None, "attach comes first"
        return self._line

    # -- before --------------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Issue what can be issued before the run.

        Raises:
            LoadgenError: it cannot be done.
        """
        if self.steps:
            self.line.note("issuing the certificates of the steps")
            await asyncio.to_thread(self._prepare)

    def _prepare(self) -> None:
        self._supply.issue_ahead(self.steps)
        for step in self.steps:
            if step.kind == "rotate_ca":
                old, new = self._supply.rotation(step)
                folder = new.home.parent / f"rotation-{step.number}"
                target = self._target.scenario.target
                self._rotations[step.number] = prepare_rotation(step, target, old, new, folder)

    # -- while it runs -------------------------------------------------------------------------------

    def begin(self, origin: int) -> None:
        """The run's clients are about to connect."""
        self._origin = origin
        self._watch(self._plan.clients)

    def stage_begins(self, name: str, at: int) -> None:
        """A stage begins at `at` (monotonic ns): steps of the one before whose moment is later never come."""
        for number, (moment, task) in tuple(self._waiting.items()):
            if moment >= at and not self.steps[number].at:
                task.cancel()
        for step in self.steps:
            if step.order is not None and step.order.at.stage == name:
                moment = at + step.order.at.offset
                task = asyncio.create_task(self._carry_out(step, moment))
                self._waiting[step.number] = (moment, task)

    async def _carry_out(self, step: StepRun, moment: int) -> None:
        assert step.order is not None
        try:
            if step.order.valid_for is not None:
                begins = time.time() + (moment - monotonic_ns()) / 1e9
                await self._apart(self._supply.issue_for, step, begins)
            await _until(moment - _LEAD)
            step.at = max(moment, monotonic_ns())
            self._tell(step, "begins")
            self._stop_looking(step)
            step.outcome = "done"
            if step.kind == "rotate_ca":
                await self._rotate(step)
            else:
                await self._change_all(step)
            if step.outcome == "done":
                step.completed = monotonic_ns()
            self._tell(step, step.outcome)
            self._resume_looking()
            self._looks[step.number] = look = asyncio.ensure_future(self._look(step))
            await asyncio.wait({look})
            if not look.cancelled():
                look.result()
        except asyncio.CancelledError:
            if (found := self._looks.get(step.number)) is not None:
                found.cancel()
            raise
        except LoadgenError as error:
            step.at = step.at or monotonic_ns()
            step.outcome, step.trouble = "failed", str(error)
            self._tell(step, "failed")

    async def _change_all(self, step: StepRun) -> None:
        self._send_changes(step, step.at)
        if step.refusal_expected:
            assert step.order is not None
            await _until(step.at + step.order.spread)
        elif not step.keeps_connections:
            await self._until_back(step, None)

    async def _rotate(self, step: StepRun) -> None:
        rotation = self._rotations[step.number]
        self._phase(step, "trust both CAs")
        await self._apart(rotation.brokers.trust, "trust_both", rotation.both)
        if rotation.clients_both is not None:
            self._broadcast(Trust(str(rotation.clients_both)))
        self._phase(step, "clients get certificates of the new CA")
        assert step.order is not None
        begins = monotonic_ns() + _LEAD
        self._send_changes(step, begins)
        left = await self._until_back(step, begins + step.order.spread + _RETURN_LIMIT)
        if left:
            step.outcome = "halted"
            step.trouble = f"{left} clients are not back with certificates of the new CA; the old one stays"
            return
        self._phase(step, "brokers show certificates of the new CA")
        await self._apart(rotation.brokers.show, rotation.certificate, rotation.key)
        self._phase(step, "trust the new CA alone")
        await self._apart(rotation.brokers.trust, "trust_new", rotation.new)
        if rotation.clients_new is not None:
            self._broadcast(Trust(str(rotation.clients_new)))

    async def _apart(self, work: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Do what blocks in a thread; it is waited for before the end, even when whoever asked has gone."""
        thread = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
        self._threads.append(thread)
        await asyncio.shield(thread)

    def _phase(self, step: StepRun, name: str) -> None:
        now = monotonic_ns()
        step.phases.append((name, now))
        self.line.event({"ns": now, "event": "certificates", "step": step.name, "phase": name})
        self.line.note(f"{step.name}: {name}")

    def _tell(self, step: StepRun, what: str) -> None:
        self.line.event({"ns": monotonic_ns(), "event": "certificates", "step": step.name, "phase": what})
        self.line.note(f"{step.name}: {what}")

    async def _until_back(self, step: StepRun, limit: int | None) -> int:
        """Wait until all clients of a step are back, or `limit`; how many are not."""
        while (left := self.line.returning(step.number)) != 0:
            if limit is not None and monotonic_ns() > limit:
                return step.clients if left is None else left
            await asyncio.sleep(0.1)
        return 0

    # -- clients -------------------------------------------------------------------------------------

    def _send_changes(self, step: StepRun, begins: int) -> None:
        assert step.order is not None
        clients = [each for each in self._plan.clients if self._set_of(each) in step.sets]
        step.clients = len(clients)
        changes: dict[int, list[CertificateChange]] = defaultdict(list)
        for place, client in enumerate(clients):
            due = begins + step.order.spread * place // len(clients)
            identity = self._supply.of(step, self._set_of(client), client.index)
            properties = None
            if identity is not None:
                properties = self._properties(client, identity)
                self._now[client.number] = replace(
                    self._now[client.number],
                    identity=identity,
                    user_properties=client.user_properties if properties is None else properties,
                )
            changes[client.number % self.line.workers].append(
                CertificateChange(client.number, due, identity, properties)
            )
        reconnect = not step.keeps_connections
        for worker in range(self.line.workers):
            message = ChangeCertificates(
                step.number,
                tuple(changes[worker]),
                reconnect=reconnect,
                refusal_expected=step.refusal_expected,
            )
            self.line.send(worker, message)
        if step.kind != "reconnect":
            self._watch([self._now[client.number] for client in clients])

    def _set_of(self, client: ClientPlan) -> str:
        return self._plan.scenario.groups[client.group].identity

    def _properties(self, client: ClientPlan, identity: Identity) -> tuple[tuple[str, str], ...] | None:
        """The user properties with this certificate; None when it makes no difference."""
        templates = self._plan.scenario.groups[client.group].user_properties
        if all(template.fields <= {"index", "group", "client_id"} for _, template in templates):
            return None
        fields = {
            **identity.template_fields(),
            "index": client.index,
            "group": client.group,
            "client_id": client.client_id,
        }
        return tuple((name, template.render(fields)) for name, template in templates)

    def _watch(self, clients: Sequence[ClientPlan]) -> None:
        """See what becomes of clients whose certificates end while they run."""
        now, wall = monotonic_ns(), time.time()
        ending: dict[str, list[ClientPlan]] = defaultdict(list)
        for client in clients:
            if wall < client.identity.not_after < wall + _HORIZON:
                ending[self._set_of(client)].append(client)
        for name, found in ending.items():
            step = StepRun(len(self.steps), EXPIRE, (name,), outcome="done")
            self.steps.append(step)
            changes: dict[int, list[CertificateChange]] = defaultdict(list)
            for client in found:
                due = now + int((client.identity.not_after - wall) * 1e9)
                changes[client.number % self.line.workers].append(CertificateChange(client.number, due))
            step.at = min(change.due for of_worker in changes.values() for change in of_worker)
            for worker in range(self.line.workers):
                message = ChangeCertificates(step.number, tuple(changes[worker]), reconnect=False)
                self.line.send(worker, message)

    def _broadcast(self, message: Message) -> None:
        for worker in range(self.line.workers):
            self.line.send(worker, message)

    # -- the broker's view ---------------------------------------------------------------------------

    def _stop_looking(self, step: StepRun) -> None:
        """What is looked for changes now."""
        for other, look in self._looks.items():
            if set(self.steps[other].sets) & set(step.sets):
                look.cancel()
        if self.line.view.pending:
            self.line.view.cancel()
            self._look_again = True
        if step.refusal_expected:
            self._refused |= set(step.sets)
        else:
            self._refused -= set(step.sets)

    def _resume_looking(self) -> None:
        source = self._target.view
        if self._look_again and source is not None and not self._refused:
            self._look_again = False
            groups = self.line.connected_groups()
            self.line.view.start(source, expected_connections(self._plan, groups, self._now))

    async def _look(self, step: StepRun) -> None:
        """Ask the broker whether it sees the clients with the certificates they have now."""
        source = self._target.view
        if source is None or step.outcome != "done" or step.refusal_expected or step.keeps_connections:
            return
        groups = {name for name, group in self._plan.scenario.groups.items() if group.identity in step.sets}
        # Files of others may have been replaced while nobody told us.
        ours = all(self._plan.scenario.identities[name].issue is not None for name in step.sets)
        dated = ours or step.kind != "reconnect"
        expected = expected_connections(self._plan, groups, self._now, dated=dated)
        step.view = await check_view(source, expected, deadline_s=_LOOK_LIMIT)

    # -- the end -------------------------------------------------------------------------------------

    async def finish(self, *, over: bool) -> None:
        """Let what goes on when the stages have ended come to its own end, for a while.

        A run that is `over`, as it was interrupted, does not wait.
        """
        for number, (_, task) in self._waiting.items():
            if not self.steps[number].at or over:
                task.cancel()
        tasks = [task for _, task in self._waiting.values() if not task.cancelled()]
        if tasks:
            await asyncio.wait(tasks, timeout=None if over else _LAST_WAIT)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Put the brokers' files back and remove the certificates; the clients are gone."""
        await asyncio.gather(*self._threads, return_exceptions=True)
        for rotation in self._rotations.values():
            try:
                await asyncio.shield(asyncio.to_thread(rotation.brokers.restore))
            except LoadgenError as error:
                mend = "`loadgen cluster up` writes a local cluster's files again"
                self.line.warn(f"the brokers' CAs were not put back: {error}; {mend}")
        with contextlib.suppress(OSError):
            await asyncio.to_thread(self._supply.remove)

    def outcome(self, finals: Sequence[Final]) -> tuple[list[dict[str, Any]], list[tuple[Verdict, str]]]:
        """What `result.json` says of the steps, and what in them decides the verdict."""
        tallies: dict[int, StepTally] = defaultdict(StepTally)
        for final in finals:
            for number, tally in final.certificate_steps.items():
                tallies[number].add(tally)
        return step_rows(self.steps, tallies, self._origin), list(step_verdicts(self.steps, tallies))


async def _until(moment: int) -> None:
    wait = (moment - monotonic_ns()) / 1e9
    if wait > 0:
        await asyncio.sleep(wait)
