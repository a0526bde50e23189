"""`loadgen schema`: the JSON Schema of scenario files, for editors."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from loadgen.cli.options import write_json
from loadgen.report.schema import RESULT_SCHEMA
from loadgen.scenario.schema import json_schema


class Kind(enum.StrEnum):
    """Which file's schema."""

    SCENARIO = "scenario"
    RESULT = "result"


def schema(
    kind: Annotated[Kind, typer.Argument(help="Of scenario files, or of result.json.")] = Kind.SCENARIO,
) -> int:
    """Print the JSON Schema of scenario files (or of result.json)."""
    write_json(json_schema() if kind is Kind.SCENARIO else RESULT_SCHEMA)
    return 0
