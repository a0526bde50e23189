"""A run from scenario file to verdict: everything is checked before the first socket opens."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadgen.broker.control import check_faults, nodes_behind_proxies, open_control
from loadgen.broker.management import ManagementError
from loadgen.broker.provision import missing_accounts
from loadgen.broker.settings import api_problems, local_problems
from loadgen.certificates.checks import certificate_problems
from loadgen.certificates.runner import CertificateRunner
from loadgen.coordination.coordinator import Coordinator, Observer
from loadgen.engine.dialing import not_local
from loadgen.engine.driver import NATIVE, check_driver
from loadgen.errors import ConfigError, Problem, TargetError
from loadgen.histogram_log import write_histogram_log
from loadgen.identity.ca_keys import check_ca_keys
from loadgen.identity.check import check_authorities, check_identities
from loadgen.identity.prepare import prepare_sets
from loadgen.machine import raise_descriptor_limit, this_machine
from loadgen.metrics.catalog import THRESHOLD_METRICS, THRESHOLD_SELECTORS
from loadgen.places import Places
from loadgen.plan.logins import Logins, accounts_of, certificate_names, login_rule, predict_logins
from loadgen.plan.needs import SPARE_DESCRIPTORS, Needs, needs_of, shortfalls, summary
from loadgen.plan.plan import Plan, make_plan
from loadgen.plan.settings import group_settings, target_settings
from loadgen.preflight import check_target
from loadgen.refused_identities import identities_to_check
from loadgen.scenario.groups import NO_IDENTITY
from loadgen.scenario.load import load_scenario
from loadgen.store import RunWriter, open_run
from loadgen.target import open_target

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from loadgen.broker.faults import NodeControl
    from loadgen.identity.identity import Identity
    from loadgen.plan.needs import Machine
    from loadgen.scenario.model import Scenario
    from loadgen.target import OpenTarget

EMBEDDED = "embedded"


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line says besides the scenario file."""

    scenario: Path
    overrides: Sequence[str] = ()
    target: str | None = None
    """A file whose content replaces the target, or `embedded`."""
    workers: int | None = None
    """Worker processes; one runs inline. None: one a core, fewer for small fleets."""
    runs: Path = Path("runs")
    client: str = NATIVE
    """The library that makes the connections, one of `engine.driver.DRIVERS`."""

    @property
    def target_file(self) -> Path | None:
        """The file whose content replaces the target."""
        return Path(self.target) if self.target and self.target != EMBEDDED else None

    def places(self) -> Places:
        """Where settings stand in these files."""
        return Places(self.scenario, self.overrides, self.target_file)


@dataclass(slots=True)
class Prepared:
    """A scenario that has been checked and planned, before any socket opened."""

    plan: Plan
    needs: Needs
    identities: dict[str, list[Identity]]
    warnings: list[Problem] = field(default_factory=list)
    logins: Logins | None = None
    """What the brokers will make of the clients; None for the embedded one, which takes any certificate."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run that has ended."""

    path: Path
    """The run's folder."""
    result: dict[str, Any]
    """`result.json`."""

    @property
    def exit_code(self) -> int:
        """What the process ends with."""
        return int(self.result["exit_code"])


def read_scenario(options: RunOptions) -> Scenario:
    """Load the scenario with its overrides.

    Raises:
        ConfigError: every problem of the file.
    """
    return load_scenario(
        options.scenario,
        overrides=options.overrides,
        target=options.target_file,
        embedded=options.target == EMBEDDED,
        metrics=THRESHOLD_METRICS,
        selectors=THRESHOLD_SELECTORS,
    )


def prepare(
    options: RunOptions, scenario: Scenario, progress: Callable[[int, int], None] | None = None
) -> Prepared:
    """Issue or read the certificates, check them, plan, and hold the plan against this machine.

    Raises:
        ConfigError: every problem found.
    """
    aliases = any(each.topic_alias for group in scenario.groups.values() for each in group.publish)
    policies = [group.reconnect for group in scenario.groups.values()]
    forgetful = any(not each.resume or not each.resend for each in policies)
    own = any(
        group.expect or group.username or group.password or group.identity == NO_IDENTITY
        for group in scenario.groups.values()
    )
    check_driver(
        options.client,
        topic_aliases=aliases,
        forgetful=forgetful,
        answers=own,
        certificates=bool(scenario.certificates),
    )
    problems = [*scenario.warnings, *check_target_files(scenario, options.places())]
    if any(not problem.warning for problem in problems):
        raise ConfigError(problems)
    identities = prepare_sets(
        scenario.identities, needed=lambda name: _needed(scenario, name), progress=progress
    )
    problems += check_identities(identities_to_check(scenario, identities))
    problems += check_ca_keys(*_folders(scenario, identities))
    if any(not problem.warning for problem in problems):
        raise ConfigError(problems)
    try:
        plan = replace(make_plan(scenario, identities), driver=options.client)
    except ConfigError as error:
        raise ConfigError([_in_file(each, options.places()) for each in error.problems]) from None
    problems += check_plan_faults(plan, options.places())
    if any(not problem.warning for problem in problems):
        raise ConfigError(problems)
    machine = this_machine()
    workers = options.workers or default_workers(len(plan.clients), machine)
    needs = needs_of(plan, workers)
    problems += certificate_problems(plan, needs, identities, options.places())
    if any(not problem.warning for problem in problems):
        raise ConfigError(problems)
    lacking = shortfalls(needs, machine)
    if lacking:
        raise ConfigError(lacking)
    logins = None
    if scenario.target.kind == "rabbitmq":
        if options.target_file is not None:
            problems += local_problems(options.target_file, login_rule(scenario.target))
            if any(not problem.warning for problem in problems):
                raise ConfigError(problems)
        logins = predict_logins(plan.admitted, scenario.target)
        problems += logins.problems
    return Prepared(plan, needs, identities, problems, logins)


def _folders(scenario: Scenario, identities: dict[str, list[Identity]]) -> tuple[set[Path], set[Path]]:
    """(folders of certificates, those of loadgen's own CAs among them)."""
    ours = {Path(each.issue.out) for each in scenario.identities.values() if each.issue is not None}
    files = {os.path.dirname(each.certificate_file) for group in identities.values() for each in group}  # noqa: PTH120
    return {Path(each) for each in files}, ours


def check_target_files(scenario: Scenario, places: Places) -> list[Problem]:
    """Look at the files, password and source addresses that the target section names; nothing is sent."""
    target = scenario.target
    problems = []
    if target.tls.ca is not None:
        place = places.of("target", "tls", "ca")
        problems += [_placed(place, each) for each in check_authorities(Path(target.tls.ca))]
    for source in target.sources:
        if reason := not_local(source):
            place = places.of("target", "source_addresses")
            what = f"cannot connect from {source}: {reason}"
            problems.append(Problem(place, what, f"give it to this machine (ip addr add {source}/32 dev lo)"))
    if target.management is not None:
        if target.management.ca is not None:
            place = places.of("target", "management", "ca")
            problems += [_placed(place, each) for each in check_authorities(Path(target.management.ca))]
        try:
            target.management.password.reveal()
        except ConfigError as error:
            place = places.of("target", "management", "password")
            problems += [replace(problem, where=place) for problem in error.problems]
    return problems


def check_plan_faults(plan: Plan, places: Places) -> list[Problem]:
    """Look whether the target's node control can do the faults; each is told once, however often repeated."""
    first = {fault.entry: fault for fault in reversed(plan.faults)}
    by_name = {fault.name: fault for fault in first.values()}
    return check_faults(
        plan.scenario.target,
        list(by_name.values()),
        lambda fault: places.of("faults", by_name[fault.name].entry, fault.kind),
    )


def _in_file(problem: Problem, places: Places) -> Problem:
    """The problem of one client (`groups.sensors[3]`), told with the line of its group."""
    group, bracket, _ = problem.where.partition("[")
    if not bracket or not group.startswith("groups."):
        return problem
    place = places.of(*group.split(".", 1))
    return replace(problem, where=place + problem.where.removeprefix(group))


def _placed(place: str, problem: Problem) -> Problem:
    """The problem of a file, told where the scenario names that file."""
    return replace(problem, where=place, what=f"{problem.where}: {problem.what}")


def default_workers(clients: int, machine: Machine) -> int:
    """One worker a core, but no more than the clients can make use of, and as many as hold their sockets."""
    holding = -(-clients // max(machine.descriptors - SPARE_DESCRIPTORS, 1))
    return max(1, min(machine.cores, clients // _CLIENTS_WORTH_A_WORKER), min(holding, _MOST_WORKERS))


_CLIENTS_WORTH_A_WORKER = 50
_MOST_WORKERS = 64
"""Beyond this the limit on open files is the thing to change, not the number of processes."""


def _needed(scenario: Scenario, name: str) -> int:
    names = {name} | {each for step in scenario.certificates if step.to == name for each in step.sets}
    return max((group.clients for group in scenario.groups.values() if group.identity in names), default=1)


async def run_scenario(
    options: RunOptions,
    scenario: Scenario,
    prepared: Prepared,
    observer: Callable[[Plan], Observer] | None = None,
) -> Outcome:
    """Run it: open the target, look whether it takes us, run the stages, write the result.

    Raises:
        TargetError: the target cannot be reached or refuses us; nothing was written.
        BrokerError: the embedded broker or the management API cannot be used.
    """
    raise_descriptor_limit()
    async with contextlib.AsyncExitStack() as opened:
        target = await opened.enter_async_context(open_target(scenario))
        plan = prepared.plan
        if target.scenario is not scenario:
            # The embedded broker's address is known only now.
            plan = replace(make_plan(target.scenario, prepared.identities), driver=options.client)
        places = options.places()
        warnings = [str(problem) for problem in prepared.warnings] + await _check_users(plan, target, places)
        await check_target(
            target_settings(target.scenario), plan.clients, group_settings(target.scenario), places
        )
        control, via = await _open_control(plan, target, opened)
        writer = RunWriter(
            options.runs, scenario.name, scenario.to_yaml(), summary(prepared.plan, prepared.needs)
        )
        workers = prepared.needs.workers
        coordinator = Coordinator(
            plan,
            target,
            writer,
            workers=workers,
            inline=workers == 1,
            observer=observer(plan) if observer else None,
            control=control,
            via=via,
            certificates=CertificateRunner(plan, target, prepared.identities),
        )
        coordinator.warnings += warnings
        if scenario.target.tls.insecure:
            coordinator.warnings.append("the brokers' certificates were not verified (insecure: true)")
        result = await coordinator.run()
    write_histogram_log(open_run(writer.path))
    return Outcome(writer.path, result)


async def _open_control(
    plan: Plan, target: OpenTarget, opened: contextlib.AsyncExitStack
) -> tuple[NodeControl | None, dict[int, tuple[str, int]]]:
    """Get hold of the nodes when there are faults to do; `opened` lets go of them.

    Returns:
        The node control; and which nodes are dialled through a proxy, as they are to be made slow later.

    Raises:
        BrokerError: the cluster of `target.control` is not there, or a proxy does not start.
    """
    if not plan.faults:
        return None, {}
    clients = frozenset(client.client_id for client in plan.clients)
    control = await open_control(target.scenario.target, target.management, client_ids=clients)
    opened.push_async_callback(control.close)
    behind = nodes_behind_proxies(plan.faults, control.node_names())
    return control, await control.start_proxies(behind) if behind else {}


async def _check_users(plan: Plan, target: OpenTarget, places: Places) -> list[str]:
    """Ask the broker for its settings, and for the users before it refuses each after 3 s; gives warnings.

    Raises:
        TargetError: it is not set as the target says, or some users are missing.
        ManagementError: the API does not answer.
    """
    if target.management is None:
        return []
    settings = target.scenario.target
    rule = login_rule(settings)
    names = certificate_names(plan.clients, rule)
    odd = await api_problems(target.management, rule, settings.uris[0].port, names)
    if errors := [problem for problem in odd if not problem.warning]:
        raise TargetError([Problem(places.of("target", "login"), each.what, each.mend) for each in errors])
    warnings = [str(problem) for problem in odd]
    accounts = accounts_of(plan.admitted, target.scenario.target)
    try:
        missing = await missing_accounts(target.management, accounts)
    except ManagementError as error:
        if error.status not in (401, 403):
            raise
        # The API took this login before: the tag monitoring lets it look at connections, not at users.
        return [
            *warnings,
            "the users were not looked up: that takes a management user with the tag administrator",
        ]
    if missing:
        shown = ", ".join(missing[:3]) + (" …" if len(missing) > 3 else "")
        users = sum(map(len, accounts.values()))
        what = f"{len(missing)} of {users} users are unknown or have no permissions: {shown}"
        raise TargetError([Problem(places.of("identities"), what, f"run `{places.command('provision')}`")])
    return warnings
