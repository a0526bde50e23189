"""`loadgen certs inspect` and `verify`: look at certificates."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

from loadgen.cli.certs_flags import show
from loadgen.cli.options import Format, OutputFormat, write_json
from loadgen.errors import ExitCode
from loadgen.identity.ca_keys import check_ca_keys
from loadgen.identity.check import check_file
from loadgen.identity.describe import Description, certificate_files, describe
from loadgen.identity.names import CA_CERTIFICATE


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
    for problem in check_ca_keys(folders := {path for path in paths if path.is_dir()}, folders):
        typer.echo(f"warning: {problem}", err=True)
    show(results, output_format, lambda result: f"{'ok' if result['ok'] else 'WRONG'}  {result['file']}")
    if wrong:
        raise typer.Exit(ExitCode.BAD_CONFIG)


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
