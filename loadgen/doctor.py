"""Looks at everything a run depends on and says what is in the way: this machine, and a scenario's target."""

from __future__ import annotations

import asyncio
import enum
import platform
import resource
import ssl
import sys
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import loadgen
from loadgen.broker.provision import missing_accounts
from loadgen.diagnosis import diagnose
from loadgen.errors import ConfigError, ExitCode, LoadgenError
from loadgen.machine import this_machine
from loadgen.plan.logins import accounts_of
from loadgen.plan.needs import CLIENT_MEMORY, SPARE_DESCRIPTORS, WORKER_MEMORY
from loadgen.plan.settings import group_settings, target_settings
from loadgen.preflight import probe_nodes
from loadgen.run import Prepared, RunOptions, prepare, read_scenario
from loadgen.target import management_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadgen.scenario.model import Scenario

_TIMERS = 40
_TIMER_S = 0.005
_LATE_MS = 10.0
_COARSE_NS = 100_000


class State(enum.StrEnum):
    """How a check went."""

    OK = "ok"
    WARNING = "warning"
    """A run is possible; its figures or its size suffer."""
    PROBLEM = "problem"
    """A run would be refused."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at."""

    name: str
    state: State
    found: str
    mend: str = ""
    exit_code: int = ExitCode.BAD_CONFIG
    """What a run would end with because of this problem."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def check_machine() -> list[Check]:
    """Look at this machine and this Python; takes a quarter of a second for the timers."""
    return [
        Check("loadgen", State.OK, f"{loadgen.__version__} in {sys.prefix}"),
        Check("python", State.OK, f"{platform.python_implementation()} {platform.python_version()}"),
        _openssl(),
        *_limits(),
        _clock(),
        asyncio.run(_timers()),
    ]


def _openssl() -> Check:
    if ssl.HAS_TLSv1_3:
        slow = ssl.OPENSSL_VERSION_INFO[:2] == (3, 0)
        cost = "; a connect takes 1.4 times the CPU that it takes with 3.6" if slow else ""
        return Check("openssl", State.OK, f"{ssl.OPENSSL_VERSION}, TLS 1.2 and 1.3{cost}")
    return Check(
        "openssl", State.WARNING, f"{ssl.OPENSSL_VERSION}, no TLS 1.3", "use a Python built with OpenSSL 3"
    )


def _limits() -> list[Check]:
    machine = this_machine()
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    clients = machine.descriptors - SPARE_DESCRIPTORS
    few = clients < 1000
    memory = machine.memory // CLIENT_MEMORY
    return [
        Check("cores", State.OK, f"{machine.cores}: as many workers are of use"),
        Check(
            "open files",
            State.WARNING if few else State.OK,
            f"{machine.descriptors:,} in a process (now {soft:,}): {max(clients, 0):,} clients a worker",
            "raise the hard limit: ulimit -Hn, or LimitNOFILE of the service" if few else "",
        ),
        Check("local ports", State.OK, f"{machine.ports:,}: so many clients to each node's address"),
        Check(
            "memory",
            State.WARNING if machine.memory < 4 * WORKER_MEMORY else State.OK,
            f"{machine.memory >> 20:,} MiB free: about {memory:,} clients",
            "end other programs" if machine.memory < 4 * WORKER_MEMORY else "",
        ),
    ]


def _clock() -> Check:
    steps = []
    for _ in range(100):
        before = time.monotonic_ns()
        while (now := time.monotonic_ns()) == before:
            pass
        steps.append(now - before)
    step = sorted(steps)[len(steps) // 2]
    source = time.get_clock_info("monotonic").implementation
    if step > _COARSE_NS:
        return Check(
            "clock",
            State.WARNING,
            f"steps of {step / 1e3:.1f} µs ({source})",
            "latencies are no finer than that",
        )
    return Check("clock", State.OK, f"steps of {step / 1e3:.2f} µs or less ({source})")


async def _timers() -> Check:
    """How late an event loop wakes: what send lag begins with."""
    late = []
    for _ in range(_TIMERS):
        due = time.monotonic_ns() + int(_TIMER_S * 1e9)
        await asyncio.sleep(_TIMER_S)
        late.append((time.monotonic_ns() - due) / 1e6)
    late.sort()
    found = f"{_TIMER_S * 1e3:g} ms timers wake {late[len(late) // 2]:.2f} ms late, at most {late[-1]:.2f} ms"
    if late[-1] > _LATE_MS:
        return Check("timers", State.WARNING, found, "something else keeps this machine busy: end it")
    return Check("timers", State.OK, found)


def check_scenario(options: RunOptions, progress: Callable[[int, int], None] | None = None) -> list[Check]:
    """Look at a scenario, its certificates, the plan against this machine, and its target."""
    try:
        scenario = read_scenario(options)
        prepared = prepare(options, scenario, progress)
    except ConfigError as error:
        return [
            Check(
                "scenario",
                State.WARNING if each.warning else State.PROBLEM,
                f"{each.where}: {each.what}" if each.where else each.what,
                each.mend,
            )
            for each in error.problems
        ]
    needs = prepared.needs
    checks = [
        Check(
            "scenario",
            State.OK,
            f"{scenario.name}: {needs.clients:,} clients fit on {needs.workers} workers of this machine",
        )
    ]
    checks += [
        Check("scenario", State.WARNING, f"{each.where}: {each.what}", each.mend)
        for each in prepared.warnings
    ]
    if scenario.target.kind == "embedded":
        return [*checks, Check("target", State.OK, "the embedded broker, which every run starts for itself")]
    return checks + asyncio.run(_check_target(options, scenario, prepared))


async def _check_target(options: RunOptions, scenario: Scenario, prepared: Prepared) -> list[Check]:
    return [*await _management(options, scenario, prepared), *await _nodes(options, scenario, prepared)]


async def _nodes(options: RunOptions, scenario: Scenario, prepared: Prepared) -> list[Check]:
    target = target_settings(scenario)
    try:
        found = await probe_nodes(target, prepared.plan.clients, group_settings(scenario))
    except LoadgenError as error:
        return [Check("target", State.PROBLEM, error.what, error.mend, error.exit_code)]
    places = options.places()
    checks = []
    for node, (client, outcome) in found.items():
        name = target.node_names[node]
        if outcome.phase == "ready":
            took = f"took {client.client_id!r} as MQTT 5 client in {outcome.seconds * 1e3:.0f} ms"
            checks.append(Check("node", State.OK, f"{name}: {took}"))
            continue
        told = diagnose(target, node, client, phase=outcome.phase, cause=outcome.cause, places=places)
        where = places.of(*told.key.split("."))
        checks.append(
            Check("node", State.PROBLEM, f"{where}: {name}: {told.what}", told.mend, ExitCode.UNREACHABLE)
        )
    return checks


async def _management(options: RunOptions, scenario: Scenario, prepared: Prepared) -> list[Check]:
    settings = scenario.target.management
    if settings is None:
        mend = "add management to the target: without it the broker's own view of the clients is not checked"
        return [Check("management", State.WARNING, "the scenario names no management API", mend)]
    accounts = accounts_of(prepared.plan.admitted, scenario.target)
    users = sum(map(len, accounts.values()))
    checks = []
    try:
        async with management_of(settings) as management:
            version = (await management.overview()).get("rabbitmq_version", "unknown")
            checks.append(Check("management", State.OK, f"RabbitMQ {version} at {settings.uris[0]}"))
            missing = await missing_accounts(management, accounts)
    except LoadgenError as error:
        return [*checks, Check("management", State.PROBLEM, error.what, error.mend, error.exit_code)]
    if missing:
        what = f"{len(missing):,} of {users:,} users are missing, such as {missing[0]!r}"
        mend = f"run `{options.places().command('provision')}`"
        return [*checks, Check("users", State.PROBLEM, what, mend, ExitCode.UNREACHABLE)]
    return [*checks, Check("users", State.OK, f"all {users:,} are there")]
