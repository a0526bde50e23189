"""`loadgen certs`: issue, inspect and verify certificates."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError

from loadgen.cli.options import Format, OutputFormat, Overrides, progress, write_json
from loadgen.errors import ConfigError, ExitCode, Problem
from loadgen.identity.authority import Authority
from loadgen.identity.check import check_file
from loadgen.identity.describe import Description, certificate_files, describe
from loadgen.identity.names import CA_CERTIFICATE
from loadgen.identity.prepare import prepare_set
from loadgen.scenario.identities import IdentitySet
from loadgen.scenario.load import load_scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadgen.identity.identity import Identity

app = typer.Typer(
    name="certs",
    help="Issue, inspect and verify the certificates of clients and brokers.",
    no_args_is_help=True,
)


_DEFAULT_CN = "client{index:05d}"
_DEFAULT_OUT = Path("certs/out")


@app.command()
def issue(
    *,
    scenario: Annotated[
        Path | None,
        typer.Argument(metavar="SCENARIO", help="Scenario file: issue every set of its identities."),
    ] = None,
    overrides: Overrides = None,
    count: Annotated[
        int | None, typer.Option(help="Without a scenario: how many client certificates; 1 with only --cn.")
    ] = None,
    cn: Annotated[
        str | None,
        typer.Option("--cn", help="Common name of client {index} (from 0); client{index:05d} when left out."),
    ] = None,
    organization: Annotated[
        str, typer.Option("--organization", help='O of the subject; "" for none.')
    ] = "client",
    san_dns: Annotated[
        list[str] | None, typer.Option(help="DNS name, a template like --cn; repeatable.")
    ] = None,
    san_ip: Annotated[list[str] | None, typer.Option(help="IP address; repeatable.")] = None,
    san_email: Annotated[list[str] | None, typer.Option(help="Mail address; repeatable.")] = None,
    san_uri: Annotated[list[str] | None, typer.Option(help="URI; repeatable.")] = None,
    key: Annotated[
        str, typer.Option(help="Kind of key: ec-p256, or rsa-2048 (200 times slower).")
    ] = "ec-p256",
    valid_for: Annotated[str, typer.Option(help="Validity of what is issued now.")] = "365d",
    set_name: Annotated[str, typer.Option("--name", help="Name of the set: one manifest each.")] = "clients",
    server: Annotated[
        list[str] | None,
        typer.Option("--server", help="Also a broker's certificate of this name; repeatable."),
    ] = None,
    dns: Annotated[
        list[str] | None, typer.Option("--dns", help="DNS name of the servers; repeatable.")
    ] = None,
    ip: Annotated[
        list[str] | None, typer.Option("--ip", help="IP address of the servers; repeatable.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Directory of the CA and all files; the scenario's, or certs/out, when left out."),
    ] = None,
    output_format: OutputFormat = Format.TEXT,
) -> None:
    """Issue client and server certificates from a throw-away CA, which is made if it isn't there.

    What fits is kept: only what is missing, changed or about to expire is issued. The files are named as
    RabbitMQ's tls-gen names them.
    """
    by_flags = count is not None or cn is not None
    if scenario is not None and by_flags:
        raise ConfigError("both a scenario and --count or --cn", "give one of them")
    sets: dict[str, IdentitySet] = {}
    if scenario is not None:
        loaded = load_scenario(scenario, overrides=overrides or ())
        sets = {name: one for name, one in loaded.identities.items() if one.issue is not None}
        if not sets and not server:
            raise ConfigError(
                f"{scenario}: no identity set in it is to be issued", "write issue: under identities"
            )
    elif by_flags:
        san = {"dns": san_dns, "ip": san_ip, "email": san_email, "uri": san_uri}
        values = {
            "count": 1 if count is None else count,
            "common_name": _DEFAULT_CN if cn is None else cn,
            "organization": organization or None,
            "san": {kind: texts for kind, texts in san.items() if texts},
            "key": key,
            "valid_for": valid_for,
            "out": str(_DEFAULT_OUT),
        }
        sets = {set_name: _set_from_flags(values)}
    if not sets and not server:
        raise ConfigError("nothing to issue", "give a scenario, --count or --server")

    if out is not None:
        sets = {name: _moved(one, out) for name, one in sets.items()}
    outs = [one.issue.out for one in sets.values() if one.issue is not None]
    directory = out or Path(outs[0] if outs else _DEFAULT_OUT)
    results: list[dict[str, object]] = []
    for name in server or []:
        authority = Authority.ensure(directory)
        certificate, key_path = authority.issue_server(name, dns or (), ip or (), key_type=key)
        results.append({"server": name, "certificate": str(certificate), "key": str(key_path)})
    for name, one in sets.items():
        assert one.issue is not None
        results.append(_issue_set(name, one, Path(one.issue.out)))
    _show(results, output_format, _issued_line)


@app.command()
def inspect(
    *,
    paths: Annotated[list[Path], typer.Argument(help="Certificate files, or directories of them.")],
    output_format: OutputFormat = Format.TEXT,
) -> None:
    """Show what certificates say: names as RabbitMQ reads them, validity, use. Keys are never shown."""
    found = [describe(file) for path in paths for file in certificate_files(path)]
    if output_format is Format.JSON:
        write_json([asdict(one) for one in found])
        return
    typer.echo("\n\n".join(_description(one) for one in found))


@app.command()
def verify(
    *,
    paths: Annotated[list[Path], typer.Argument(help="Certificate files, or directories of them.")],
    ca: Annotated[
        Path | None,
        typer.Option(help="Who must have signed them; ca_certificate.pem beside each when left out."),
    ] = None,
    output_format: OutputFormat = Format.TEXT,
) -> None:
    """Check signature, validity, use, and that the key beside each certificate is its own and private.

    Exit code 104 when a certificate is wrong; warnings alone leave it 0.
    """
    results: list[dict[str, object]] = []
    wrong = 0
    for file in [file for path in paths for file in certificate_files(path)]:
        problems = check_file(file, ca or _ca_beside(file))
        bad = any(not problem.warning for problem in problems)
        wrong += bad
        results.append(
            {"file": str(file), "ok": not bad, "problems": [asdict(problem) for problem in problems]}
        )
        for problem in problems:
            typer.echo(f"{'warning' if problem.warning else 'error'}: {problem}", err=True)
    _show(results, output_format, lambda result: f"{'ok' if result['ok'] else 'WRONG'}  {result['file']}")
    if wrong:
        raise typer.Exit(ExitCode.BAD_CONFIG)


def _set_from_flags(values: dict[str, object]) -> IdentitySet:
    """Check the flags with the scenario's own model, so that both say the same.

    Raises:
        ConfigError: every flag that is wrong.
    """
    flags = {"common_name": "--cn"}
    try:
        return IdentitySet.model_validate({"issue": values})
    except ValidationError as error:
        problems = []
        for one in error.errors():
            place = [str(step) for step in one["loc"][1:] if isinstance(step, str)]
            flag = flags.get(place[0], "--" + "-".join(place).replace("_", "-"))
            context = one.get("ctx", {})
            problems.append(Problem(flag, str(context.get("what", one["msg"])), str(context.get("mend", ""))))
        raise ConfigError(problems) from error


def _moved(spec: IdentitySet, out: Path) -> IdentitySet:
    assert spec.issue is not None
    return IdentitySet(issue=spec.issue.model_copy(update={"out": str(out)}))


def _issue_set(name: str, spec: IdentitySet, out: Path) -> dict[str, object]:
    issued = 0
    with progress(f"issuing {name}") as advance:

        def count(done: int, total: int) -> None:
            nonlocal issued
            issued = done
            advance(done, total)

        identities = prepare_set(name, spec, progress=count)
    return {
        "set": name,
        "ca": str(out / CA_CERTIFICATE),
        "issued": issued,
        "kept": len(identities) - issued,
        "identities": [_identity(one) for one in identities],
    }


def _identity(one: Identity) -> dict[str, object]:
    return {
        "common_name": one.cn,
        "distinguished_name": one.subject_rabbitmq,
        "serial": one.serial,
        "sans": one.sans,
        "certificate": str(one.certificate),
        "key": str(one.key),
    }


def _show(
    results: list[dict[str, object]], output_format: Format, line: Callable[[dict[str, object]], str]
) -> None:
    if output_format is Format.JSON:
        write_json(results)
        return
    for result in results:
        typer.echo(line(result))


def _issued_line(result: dict[str, object]) -> str:
    if "server" in result:
        return f"server {result['server']}: {result['certificate']}"
    return f"set {result['set']}: {result['issued']} issued, {result['kept']} kept; CA {result['ca']}"


def _description(one: Description) -> str:
    sans = ", ".join(f"{kind} {value}" for kind, values in one.sans.items() for value in values)
    rows = {
        "common name": one.common_name,
        "distinguished name": one.distinguished_name,
        "alternative names": sans or "none",
        "serial": one.serial,
        "valid": f"{one.not_before} to {one.not_after}",
        "use": ", ".join(one.usages) or "any",
        "key type": one.key_type,
        "issuer": one.issuer,
        "SHA-256": one.fingerprint,
        "key file": one.key or "none beside it",
    }
    return "\n".join([one.file, *(f"  {title:<20}{value}" for title, value in rows.items())])


def _ca_beside(file: Path) -> Path | None:
    ca = file.parent / CA_CERTIFICATE
    return ca if ca.exists() else None
