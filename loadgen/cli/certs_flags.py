"""What the commands of `loadgen certs` have in common: names by flags, passwords, results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError

from loadgen.cli.options import Format, write_json
from loadgen.errors import ConfigError, Problem
from loadgen.scenario.identities import IdentitySet
from loadgen.scenario.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFAULT_OUT = Path("certs/out")

Organization = Annotated[str, typer.Option("--organization", help='O of the subject; "" for none.')]
OrganizationalUnit = Annotated[
    str | None, typer.Option("--organizational-unit", help="OU of the subject, a template like --cn.")
]
Locality = Annotated[str | None, typer.Option(help="L of the subject.")]
State = Annotated[str | None, typer.Option(help="ST of the subject.")]
Country = Annotated[str | None, typer.Option(help="C of the subject, two letters.")]
SerialNumber = Annotated[str | None, typer.Option(help="serialNumber of the subject.")]
SanDns = Annotated[list[str] | None, typer.Option(help="DNS name, a template like --cn; repeatable.")]
SanIp = Annotated[list[str] | None, typer.Option(help="IP address; repeatable.")]
SanEmail = Annotated[list[str] | None, typer.Option(help="Mail address; repeatable.")]
SanUri = Annotated[list[str] | None, typer.Option(help="URI; repeatable.")]
SanOtherName = Annotated[list[str] | None, typer.Option(metavar="OID=TEXT", help="Other name; repeatable.")]
Key = Annotated[
    str,
    typer.Option(help="Kind of key: ec-p256, ec-p384, ed25519, rsa-2048, rsa-4096 (RSA is slow to make)."),
]
Usage = Annotated[
    list[str] | None,
    typer.Option(
        "--extended-key-usage",
        metavar="USE",
        help="client_auth (when left out), server_auth, or none; repeatable.",
    ),
]
ValidFor = Annotated[str, typer.Option(help="Validity from now, or from --not-before.")]
NotBefore = Annotated[
    str | None, typer.Option(metavar="DATE", help="Start of validity: 2030-01-31, or from now: -1d, +2h.")
]
NotAfter = Annotated[
    str | None, typer.Option(metavar="DATE", help="End of validity, in place of --valid-for.")
]
KeyPasswordEnv = Annotated[
    str | None, typer.Option(metavar="NAME", help="Variable with the password of the clients' keys.")
]
KeyPasswordFile = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="File with the password of the clients' keys; - asks for it."),
]
CaPasswordEnv = Annotated[
    str | None, typer.Option(metavar="NAME", help="Variable with the password of the CA's keys.")
]
CaPasswordFile = Annotated[
    str | None, typer.Option(metavar="FILE", help="File with the password of the CA's keys; - asks for it.")
]

DEFAULT_LIFE = "365d"


def secret(flag: str, env: str | None, file: str | None) -> Secret | None:
    """Where a password is, by the two flags that may name it.

    Raises:
        ConfigError: both were given.
    """
    if env is None and file is None:
        return None
    if env is not None and file is not None:
        raise ConfigError(f"both {flag}-env and {flag}-file", "give one of them")
    if file == "-":
        return Secret(prompt=f"password for {flag}")
    return Secret(env=env, file=file)


def uses(given: list[str] | None) -> list[str]:
    """The extended key usages that flags ask for."""
    if given is None:
        return ["client_auth"]
    return [] if given == ["none"] else given


def set_from_flags(values: Mapping[str, object]) -> IdentitySet:
    """Check the flags with the scenario's own model, so that both say the same.

    Raises:
        ConfigError: every flag that is wrong.
    """
    flags = {"common_name": "--cn"}
    given = {key: value for key, value in values.items() if value is not None and value != {}}
    try:
        return IdentitySet.model_validate({"issue": given})
    except ValidationError as error:
        problems = []
        for one in error.errors():
            place = [str(step) for step in one["loc"][1:] if isinstance(step, str)]
            name = place[0] if place else "not_after"
            flag = flags.get(name, "--" + "-".join(place or [name]).replace("_", "-"))
            context = one.get("ctx", {})
            problems.append(Problem(flag, str(context.get("what", one["msg"])), str(context.get("mend", ""))))
        raise ConfigError(problems) from error


def show(
    results: list[dict[str, object]], output_format: Format, line: Callable[[dict[str, object]], str]
) -> None:
    """Write results to stdout, each as a line of text, or all as JSON."""
    if output_format is Format.JSON:
        write_json(results)
        return
    for result in results:
        typer.echo(line(result))
