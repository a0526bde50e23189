"""Identities from a CSV file: certificate, key, and whatever else a fleet's inventory says of each client."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, TextIO

from loadgen.errors import ConfigError, Problem
from loadgen.identity import storage
from loadgen.identity.pairs import read_pair, tell

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from loadgen.identity.identity import Identity, Password

CERTIFICATE = "certificate"
KEY = "key"
_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def read_csv(
    path: Path,
    *,
    where: Mapping[str, str] | None = None,
    delimiter: str = ",",
    key_password: Password | None = None,
) -> list[Identity]:
    """Read the identities that a CSV file lists, in its order.

    Args:
        path: UTF-8, with a header. `certificate` and `key` are paths relative to the file's directory (`key`
            may be left out when the certificate's file holds it); other columns become `{csv.COLUMN}`.
        where: take only the rows with these values.
        delimiter: between values.
        key_password: where the password of the keys is kept.

    Raises:
        ConfigError: everything that is wrong with the file and the certificates, each with its line.
    """
    with storage.readable_errors(path), path.open(encoding="utf-8-sig", newline="") as file:
        try:
            rows = _rows(file, delimiter)
        except (csv.Error, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: no CSV file in UTF-8: {error}", "save it as CSV, UTF-8") from error
    header = rows[0][1] if rows else []
    _check_header(path, header, where or {})
    identities: list[Identity] = []
    problems: list[Problem] = []
    for line, values in rows[1:]:
        place = f"{path}:{line}"
        if len(values) != len(header):
            what = f"{len(values)} values, and the header has {len(header)} columns"
            problems.append(Problem(place, what, "quote values that have a delimiter in them"))
            continue
        row = dict(zip(header, values, strict=True))
        if any(row[column] != value for column, value in (where or {}).items()):
            continue
        certificate = path.parent / row[CERTIFICATE]
        key = path.parent / (row.get(KEY) or row[CERTIFICATE])
        columns = {name: value for name, value in row.items() if name not in (CERTIFICATE, KEY)}
        try:
            name = certificate.stem
            identities.append(read_pair(name, certificate, key, columns=columns, key_password=key_password))
        except ConfigError as error:
            problems += [Problem(place, str(each.what), each.mend) for each in error.problems]
    tell(problems)
    if not identities:
        raise ConfigError(f"{path}: no row with a certificate", "add rows, or change where")
    return identities


def _rows(file: TextIO, delimiter: str) -> list[tuple[int, list[str]]]:
    """Line number and values of every row that isn't empty."""
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    return [(reader.line_num, [value.strip() for value in row]) for row in reader if row]


def _check_header(path: Path, header: list[str], where: Mapping[str, str]) -> None:
    problems = []
    place = f"{path}:1"
    if CERTIFICATE not in header:
        problems.append(Problem(place, "no column `certificate`", "begin with a header: certificate,key,…"))
    for column in header:
        if not _COLUMN.fullmatch(column):
            what = f"the column {column!r} cannot stand in a template"
            problems.append(Problem(place, what, "use letters, digits and _"))
        elif header.count(column) > 1:
            problems.append(Problem(place, f"two columns {column!r}", "rename one"))
    problems += [
        Problem(place, f"no column {column!r}, which `where` names", "add it, or change where")
        for column in where
        if column not in header
    ]
    tell(list(dict.fromkeys(problems)))
