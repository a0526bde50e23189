"""`loadgen provision`: make the brokers know every identity of a scenario."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from loadgen.broker.management import Management
from loadgen.broker.provision import TAG, remove_provisioned
from loadgen.broker.provision import provision as provision_users
from loadgen.errors import ConfigError
from loadgen.identity.identity import user_name
from loadgen.identity.prepare import prepare_set
from loadgen.scenario.load import load_scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from loadgen.scenario.model import Scenario

_EMBEDDED = "embedded"


class Format(enum.StrEnum):
    """How the result is written to stdout."""

    TEXT = "text"
    JSON = "json"


def provision(
    *,
    scenario: Annotated[Path, typer.Argument(metavar="SCENARIO", help="Scenario file.", show_default=False)],
    target: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="File whose content replaces the scenario's target, or `embedded`."
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the scenario; repeatable."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, change nothing.")
    ] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Delete these users instead, if an earlier call made them.")
    ] = False,
    output_format: Annotated[
        Format,
        typer.Option("--output-format", help="Write the result as text or as JSON.", case_sensitive=False),
    ] = Format.TEXT,
) -> None:
    """Make a RabbitMQ user, without password, with permissions for MQTT, for every identity of a scenario.

    It works through the management API of the scenario's target, whose user needs the tag `administrator`.
    Users that are right already are left alone, so it can be repeated.
    """
    embedded = target == _EMBEDDED
    loaded = load_scenario(
        scenario,
        overrides=overrides or (),
        target=Path(target) if target and not embedded else None,
        embedded=embedded,
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
    typer.echo(json.dumps(result, indent=2) if output_format is Format.JSON else sentence)


async def _provision(scenario: Scenario, *, dry_run: bool) -> dict[str, Any]:
    names = user_names(scenario)
    with _progress() as progress:
        async with _management(scenario) as management:
            result = await provision_users(management, names, dry_run=dry_run, progress=progress)
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
    names: list[str] = []
    for set_name, clients in needed.items():
        spec = scenario.identities[set_name]
        if spec.issue is not None:
            template = spec.issue.common_name
            names.extend(template.render({"index": i, "set": set_name}) for i in range(spec.issue.count))
        else:
            identities = prepare_set(set_name, spec, needed=clients)
            names.extend(user_name(identity, scenario.target.login_from) for identity in identities)
    return list(dict.fromkeys(names))


def _management(scenario: Scenario) -> Management:
    settings = scenario.target.management
    if settings is None:
        raise ConfigError(
            f"{scenario.source}: target has no management, so its users cannot be changed",
            "add management: {uris: [http://HOST:15672], username: NAME, password: {env: NAME}}",
        )
    ca = Path(settings.ca) if settings.ca else None
    return Management(settings.uris, settings.username, settings.password.reveal(), ca)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[int, int], None] | None]:
    """A progress line on stderr, only on a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = TextColumn("users {task.completed}/{task.total}"), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("users", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
