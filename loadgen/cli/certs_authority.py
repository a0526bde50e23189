"""`loadgen certs request`, `sign`, `revoke`, `crl` and `export`: what a CA does besides issuing."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from loadgen.cli import certs_flags as flags
from loadgen.cli.options import Format, OutputFormat
from loadgen.errors import ConfigError
from loadgen.identity import crl as crls
from loadgen.identity import names, pkcs12
from loadgen.identity.authority import Authority
from loadgen.identity.describe import certificate_files
from loadgen.identity.hierarchy import MOST_LEVELS
from loadgen.identity.prepare import requests_of
from loadgen.identity.signing import make_request, sign_request

Out = Annotated[Path, typer.Option("--out", help="Directory of the CA.")]


def request(
    *,
    cn: Annotated[str, typer.Option("--cn", help="Common name.")],
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
    key_password_env: flags.KeyPasswordEnv = None,
    key_password_file: flags.KeyPasswordFile = None,
    out: Annotated[Path, typer.Option(help="Directory for key and request.")] = flags.DEFAULT_OUT,
    output_format: OutputFormat = Format.TEXT,
) -> None:
    """Make a key and a signing request (CSR) for it; the key is kept when it is there already."""
    san = {"dns": san_dns, "ip": san_ip, "email": san_email, "uri": san_uri, "other_name": san_other_name}
    values = {
        "count": 1,
        "common_name": cn,
        "organization": organization or None,
        "organizational_unit": organizational_unit,
        "locality": locality,
        "state": state,
        "country": country,
        "serial_number": serial_number,
        "san": {kind: texts for kind, texts in san.items() if texts},
        "key": key,
    }
    spec = flags.set_from_flags(values).issue
    assert spec is not None
    (asked,) = requests_of("clients", spec)
    password = flags.secret("--key-password", key_password_env, key_password_file)
    request_path, key_path = make_request(out, asked.subject, asked.key_type, password)
    result: dict[str, object] = {"request": str(request_path), "key": str(key_path)}
    flags.show([result], output_format, lambda one: f"request {one['request']}; key {one['key']}")


def sign(
    *,
    requests: Annotated[list[Path], typer.Argument(help="Signing requests (CSR, PEM).")],
    ca: Annotated[
        Path, typer.Option("--ca", help="Directory of the CA, made if it isn't there.")
    ] = flags.DEFAULT_OUT,
    out: Annotated[
        Path | None, typer.Option(help="Directory for the certificates; beside each request when left out.")
    ] = None,
    usage: flags.Usage = None,
    valid_for: flags.ValidFor = flags.DEFAULT_LIFE,
    not_before: flags.NotBefore = None,
    not_after: flags.NotAfter = None,
    intermediates: Annotated[
        int, typer.Option(min=0, max=MOST_LEVELS, help="CAs between the root and the certificates.")
    ] = 0,
    ca_password_env: flags.CaPasswordEnv = None,
    ca_password_file: flags.CaPasswordFile = None,
    output_format: OutputFormat = Format.TEXT,
) -> None:
    """Sign requests: names are taken as they are asked for, dates and use as the flags say."""
    values = {
        "count": 1,
        "common_name": "x",
        "extended_key_usage": flags.uses(usage),
        "valid_for": valid_for,
        "not_before": not_before,
        "not_after": not_after,
    }
    spec = flags.set_from_flags(values).issue
    assert spec is not None
    (asked,) = requests_of("clients", spec)
    password = flags.secret("--ca-password", ca_password_env, ca_password_file)
    authority = Authority.ensure(ca, intermediates=intermediates, password=password)
    results: list[dict[str, object]] = []
    for path in requests:
        signed = sign_request(authority, path, out or path.parent, asked.uses, asked.validity)
        results.append({"request": str(path), "certificate": str(signed)})
    flags.show(results, output_format, lambda one: str(one["certificate"]))


def revoke(
    *,
    paths: Annotated[list[Path], typer.Argument(help="Certificates to revoke.")],
    reason: Annotated[str, typer.Option(help=f"One of {', '.join(crls.REASONS)}.")] = "unspecified",
    out: Out = flags.DEFAULT_OUT,
    ca_password_env: flags.CaPasswordEnv = None,
    ca_password_file: flags.CaPasswordFile = None,
    output_format: OutputFormat = Format.TEXT,
) -> None:
    """Revoke certificates and write the CRLs anew.

    The certificates stay, and issuing again keeps them, so that a broker can be shown a revoked one.
    """
    password = flags.secret("--ca-password", ca_password_env, ca_password_file)
    revoked = crls.revoke(out, paths, reason, password=password)
    flags.show(
        [asdict(one) for one in revoked],
        output_format,
        lambda one: f"revoked {one['serial']} {one['common_name']}",
    )


def crl(
    *,
    valid_for: Annotated[str, typer.Option(help="Time until the next is due.")] = "30d",
    out: Out = flags.DEFAULT_OUT,
    ca_password_env: flags.CaPasswordEnv = None,
    ca_password_file: flags.CaPasswordFile = None,
    output_format: OutputFormat = Format.TEXT,
) -> None:
    """Write the CRL of the CA, and of each intermediate, with what was revoked."""
    spec = flags.set_from_flags({"count": 1, "common_name": "x", "valid_for": valid_for}).issue
    assert spec is not None
    (asked,) = requests_of("clients", spec)
    password = flags.secret("--ca-password", ca_password_env, ca_password_file)
    written = crls.write_crls(out, valid_for_s=asked.valid_for_s, password=password)
    flags.show([{"crl": str(path)} for path in written], output_format, lambda one: str(one["crl"]))


def export(
    *,
    paths: Annotated[list[Path], typer.Argument(help="Certificates with their key beside, or directories.")],
    password_env: Annotated[
        str | None, typer.Option(metavar="NAME", help="Variable with the password for the containers.")
    ] = None,
    password_file: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="File with the password for the containers; - asks for it."),
    ] = None,
    key_password_env: flags.KeyPasswordEnv = None,
    key_password_file: flags.KeyPasswordFile = None,
    output_format: OutputFormat = Format.TEXT,
) -> None:
    """Write a PKCS#12 container (`.p12`, mode 0600) beside each client certificate, with key and chain."""
    password = flags.secret("--password", password_env, password_file)
    if password is None:
        raise ConfigError("no password for the containers", "give --password-env or --password-file")
    key_password = flags.secret("--key-password", key_password_env, key_password_file)
    revealed = key_password.reveal() if key_password is not None else None
    results: list[dict[str, object]] = []
    for file in (file for path in paths for file in certificate_files(path)):
        stem = names.client_stem_of_certificate(file.name)
        if stem is None and file not in paths:
            continue  # a CA's or a broker's among a whole directory
        to = file.with_name(f"client_{stem}.p12" if stem is not None else f"{file.stem}.p12")
        pkcs12.export(file, names.key_beside(file), to, password.reveal(), revealed)
        results.append({"certificate": str(file), "container": str(to)})
    flags.show(results, output_format, lambda one: str(one["container"]))
