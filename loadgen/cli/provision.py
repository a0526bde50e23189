"""`loadgen provision`: make the brokers know every identity of a scenario."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loadgen.broker.provision import TAG, Permissions, remove_provisioned
from loadgen.broker.provision import provision as provision_users
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
from loadgen.identity.login import user_name
from loadgen.identity.prepare import planned_set, prepare_set
from loadgen.plan.logins import login_rule
from loadgen.scenario.load import load_scenario
from loadgen.target import management_of

if TYPE_CHECKING:
    from loadgen.broker.management import Management
    from loadgen.scenario.model import Scenario


def provision(
    *,
    scenario: ScenarioFile,
    target: TargetOption = None,
    overrides: Overrides = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, change nothing.")
    ] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Delete these users instead, if an earlier call made them.")
    ] = False,
    output_format: OutputFormat = Format.TEXT,
) -> None:
    """Make a RabbitMQ user, without password, with permissions for MQTT, for every identity of a scenario.

    It works through the management API of the scenario's target, whose user needs the tag `administrator`.
    Users that are right already are left alone, so it can be repeated.
    """
    loaded = load_scenario(
        scenario,
        overrides=overrides or (),
        target=target_file(target),
        embedded=target == EMBEDDED,
    )
    if loaded.target.kind == "embedded":
        result: dict[str, Any] = {"embedded": True, "created": 0, "updated": 0, "unchanged": 0}
        sentence = "the embedded broker needs no users: every certificate of its CA may log in"
    elif remove:
        result = {"removed": asyncio.run(_remove(loaded, dry_run=dry_run)), "dry_run": dry_run}
        sentence = f"removed {result['removed']} users"
    else:
        result = asyncio.run(_provision(loaded, dry_run=dry_run))
        sentence = ", ".join(f"{key} {result[key]}" for key in ("created", "updated", "unchanged"))
    if dry_run:
        sentence += " (dry run: nothing was changed)"
    if output_format is Format.JSON:
        write_json(result)
    else:
        typer.echo(sentence)


async def _provision(scenario: Scenario, *, dry_run: bool) -> dict[str, Any]:
    names = user_names(scenario)
    delayed = any(group.will is not None and group.will.delay for group in scenario.groups.values())
    permissions = Permissions.with_delayed_wills() if delayed else Permissions()
    with progress("users") as advance:
        async with _management(scenario) as management:
            result = await provision_users(
                management, names, permissions=permissions, dry_run=dry_run, progress=advance
            )
    if result.foreign:
        shown = ", ".join(result.foreign[:5])
        typer.echo(
            f"warning: {len(result.foreign)} users have permissions of their own and no tag {TAG!r}; "
            f"they were left as they are and may be refused: {shown}",
            err=True,
        )
    return result.to_dict()


async def _remove(scenario: Scenario, *, dry_run: bool) -> int:
    async with _management(scenario) as management:
        return await remove_provisioned(management, user_names(scenario), dry_run=dry_run)


def user_names(scenario: Scenario) -> list[str]:
    """List the user names under which the brokers will know the identities that groups use.

    Certificates that are to be issued need not exist yet: their names follow from the scenario.

    Raises:
        ConfigError: a directory of certificates cannot be read.
    """
    needed: dict[str, int] = {}
    for group in scenario.groups.values():
        needed[group.identity] = max(group.clients, needed.get(group.identity, 0))
    rule = login_rule(scenario.target)
    names: list[str] = []
    for set_name, clients in needed.items():
        spec = scenario.identities[set_name]
        identities = (
            planned_set(set_name, spec.issue)
            if spec.issue is not None
            else prepare_set(set_name, spec, needed=clients)
        )
        names.extend(user_name(identity, rule) for identity in identities)
    return [name for name in dict.fromkeys(names) if name]  # a certificate may name no user


def _management(scenario: Scenario) -> Management:
    settings = scenario.target.management
    if settings is None:
        raise ConfigError(
            f"{scenario.source}: target has no management, so its users cannot be changed",
            "add management: {uris: [http://HOST:15672], username: NAME, password: {env: NAME}}",
        )
    return management_of(settings)
