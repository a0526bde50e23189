"""`loadgen provision` and `deprovision`: make the brokers know a scenario's identities, or forget them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loadgen.broker.provision import TAG, ProvisionResult, provision_grants, remove_provisioned
from loadgen.cli.options import (
    EMBEDDED,
    Format,
    OutputFormat,
    Overrides,
    ScenarioFile,
    TargetOption,
    progress,
    target_file,
    write_json,
)
from loadgen.errors import ConfigError
from loadgen.grants import grants_of
from loadgen.scenario.load import load_scenario
from loadgen.target import management_of

if TYPE_CHECKING:
    from loadgen.broker.management import Management
    from loadgen.scenario.model import Scenario

_DryRun = Annotated[bool, typer.Option("--dry-run", help="List what would be done, change nothing.")]
_UNCHANGED = " (dry run: nothing was changed)"
_EMBEDDED = "the embedded broker needs no users: every certificate of its CA may log in"


def provision(
    *,
    scenario: ScenarioFile,
    target: TargetOption = None,
    overrides: Overrides = None,
    topic_permissions: Annotated[
        bool,
        typer.Option("--topic-permissions", help="Limit users to the topics that their clients use, too."),
    ] = False,
    dry_run: _DryRun = False,
    output_format: OutputFormat = Format.TEXT,
) -> None:
    """Make a RabbitMQ user without password for every identity of a scenario; it may do what its clients do.

    It works through the management API of the scenario's target, whose user needs the tag `administrator`.
    Users are named as the target's `login` says. Those that are right already, and those that loadgen did
    not make, are left alone, so it can be repeated.
    """
    loaded = _load(scenario, target, overrides)
    if loaded.target.kind == "embedded":
        result: dict[str, Any] = {"embedded": True, "created": 0, "updated": 0, "unchanged": 0}
        lines = [_EMBEDDED]
    else:
        done = asyncio.run(_provision(loaded, topics=topic_permissions, dry_run=dry_run))
        result = done.to_dict()
        lines = [str(change) for change in done.changes] if dry_run else []
        lines.append(", ".join(f"{key} {result[key]}" for key in ("created", "updated", "unchanged")))
    _say(lines, result, output_format, dry_run=dry_run)


def deprovision(
    *,
    scenario: ScenarioFile,
    target: TargetOption = None,
    overrides: Overrides = None,
    dry_run: _DryRun = False,
    output_format: OutputFormat = Format.TEXT,
) -> None:
    """Delete the RabbitMQ users of a scenario's identities that loadgen made, and no others.

    Users that loadgen made carry the tag `loadgen`. Connections that they still have are closed.
    """
    loaded = _load(scenario, target, overrides)
    if loaded.target.kind == "embedded":
        result: dict[str, Any] = {"embedded": True, "removed": 0}
        lines = [_EMBEDDED]
    else:
        names = asyncio.run(_remove(loaded, dry_run=dry_run))
        result = {"removed": len(names), "dry_run": dry_run} | ({"users": names} if dry_run else {})
        lines = [f"remove {name!r}" for name in names] if dry_run else []
        lines.append(f"removed {len(names)} users")
    _say(lines, result, output_format, dry_run=dry_run)


def _load(scenario: ScenarioFile, target: TargetOption, overrides: Overrides) -> Scenario:
    return load_scenario(
        scenario, overrides=overrides or (), target=target_file(target), embedded=target == EMBEDDED
    )


def _say(lines: list[str], result: dict[str, Any], output_format: Format, *, dry_run: bool) -> None:
    if output_format is Format.JSON:
        write_json(result)
    else:
        typer.echo("\n".join(lines) + (_UNCHANGED if dry_run else ""))


async def _provision(scenario: Scenario, *, topics: bool, dry_run: bool) -> ProvisionResult:
    grants = grants_of(scenario, topics=topics)
    with progress("users") as advance:
        async with _management(scenario) as management:
            result = await provision_grants(management, grants, dry_run=dry_run, progress=advance)
    if result.foreign:
        shown = ", ".join(result.foreign[:5])
        typer.echo(
            f"warning: {len(result.foreign)} of {len(grants)} users have other permissions than they need "
            f"and were not made by loadgen (no tag {TAG!r}); they were left as they are: {shown}",
            err=True,
        )
    return result


async def _remove(scenario: Scenario, *, dry_run: bool) -> list[str]:
    names = [grant.user for grant in grants_of(scenario)]
    async with _management(scenario) as management:
        return await remove_provisioned(management, names, dry_run=dry_run)


def _management(scenario: Scenario) -> Management:
    settings = scenario.target.management
    if settings is None:
        raise ConfigError(
            f"{scenario.source}: target has no management, so its users cannot be changed",
            "add management: {uris: [http://HOST:15672], username: NAME, password: {env: NAME}}",
        )
    return management_of(settings)
