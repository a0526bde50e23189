"""`loadgen certs`: issue certificates; the other verbs are in the files beside."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loadgen.cli import certs_flags as flags
from loadgen.cli.certs_authority import crl, export, request, revoke, sign
from loadgen.cli.certs_look import inspect, verify
from loadgen.cli.options import Format, OutputFormat, Overrides, progress
from loadgen.errors import ConfigError
from loadgen.identity.authority import Authority
from loadgen.identity.hierarchy import MOST_LEVELS
from loadgen.identity.names import CA_CERTIFICATE
from loadgen.identity.prepare import prepare_set
from loadgen.scenario.identities import IdentitySet
from loadgen.scenario.load import load_scenario

if TYPE_CHECKING:
    from loadgen.identity.identity import Identity

app = typer.Typer(
    name="certs",
    help="Issue, inspect and verify the certificates of clients and brokers.",
    no_args_is_help=True,
)
app.command()(inspect)
app.command()(verify)
app.command()(revoke)
app.command()(crl)
app.command()(request)
app.command()(sign)
app.command()(export)

_DEFAULT_CN = "client{index:05d}"


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
    organization: flags.Organization = "client",
    organizational_unit: flags.OrganizationalUnit = None,
    locality: flags.Locality = None,
    state: flags.State = None,
    country: flags.Country = None,
    serial_number: flags.SerialNumber = None,
    san_dns: flags.SanDns = None,
    san_ip: flags.SanIp = None,
    san_email: flags.SanEmail = None,
    san_uri: flags.SanUri = None,
    san_other_name: flags.SanOtherName = None,
    key: flags.Key = "ec-p256",
    usage: flags.Usage = None,
    valid_for: flags.ValidFor = flags.DEFAULT_LIFE,
    not_before: flags.NotBefore = None,
    not_after: flags.NotAfter = None,
    intermediates: Annotated[
        int, typer.Option(min=0, max=MOST_LEVELS, help="CAs between the root and the clients.")
    ] = 0,
    key_password_env: flags.KeyPasswordEnv = None,
    key_password_file: flags.KeyPasswordFile = None,
    ca_password_env: flags.CaPasswordEnv = None,
    ca_password_file: flags.CaPasswordFile = None,
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
    ca_password = flags.secret("--ca-password", ca_password_env, ca_password_file)
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
        san = {
            "dns": san_dns,
            "ip": san_ip,
            "email": san_email,
            "uri": san_uri,
            "other_name": san_other_name,
        }
        values = {
            "count": 1 if count is None else count,
            "common_name": _DEFAULT_CN if cn is None else cn,
            "organization": organization or None,
            "organizational_unit": organizational_unit,
            "locality": locality,
            "state": state,
            "country": country,
            "serial_number": serial_number,
            "san": {kind: texts for kind, texts in san.items() if texts},
            "key": key,
            "extended_key_usage": flags.uses(usage),
            "valid_for": valid_for,
            "not_before": not_before,
            "not_after": not_after,
            "intermediates": intermediates,
            "key_password": flags.secret("--key-password", key_password_env, key_password_file),
            "ca_password": ca_password,
            "out": str(flags.DEFAULT_OUT),
        }
        sets = {set_name: flags.set_from_flags(values)}
    if not sets and not server:
        raise ConfigError("nothing to issue", "give a scenario, --count or --server")

    if out is not None:
        sets = {name: _moved(one, out) for name, one in sets.items()}
    outs = [one.issue.out for one in sets.values() if one.issue is not None]
    directory = out or Path(outs[0] if outs else flags.DEFAULT_OUT)
    results: list[dict[str, object]] = []
    for name in server or []:
        authority = Authority.ensure(directory, password=ca_password)
        certificate, key_path = authority.issue_server(name, dns or (), ip or (), key_type=key)
        results.append({"server": name, "certificate": str(certificate), "key": str(key_path)})
    for name, one in sets.items():
        assert one.issue is not None
        results.append(_issue_set(name, one, Path(one.issue.out)))
    flags.show(results, output_format, _issued_line)


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


def _issued_line(result: dict[str, object]) -> str:
    if "server" in result:
        return f"server {result['server']}: {result['certificate']}"
    return f"set {result['set']}: {result['issued']} issued, {result['kept']} kept; CA {result['ca']}"
