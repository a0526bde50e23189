"""The schema of a result as a Markdown table, so that docs/result.md cannot drift from it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from loadgen.report.schema import RESULT_SCHEMA
from loadgen.report.schema_parts import SUMMARY_KEYS, Schema

if TYPE_CHECKING:
    from collections.abc import Iterator


BEGIN, END = "<!-- keys: made from loadgen/report/schema.py -->", "<!-- end of keys -->"


def result_table() -> str:
    """Write every key of result.json with its type and meaning; `*` marks keys that are always there."""
    rows = [f"| {key} | {kind} | {words} |" for key, kind, words in _keys("", RESULT_SCHEMA)]
    return "\n".join(["| key | type | meaning |", "|---|---|---|", *rows]) + "\n"


def _keys(prefix: str, schema: Schema) -> Iterator[tuple[str, str, str]]:
    required = schema.get("required", [])
    for name, child in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        mark = "*" if name in required else ""
        yield f"`{path}`{mark}", _kind(child), _words(child)
        yield from _below(path, child)


def _below(path: str, schema: Schema) -> Iterator[tuple[str, str, str]]:
    """Walk into an object, a list or a mapping; a latency summary is described once, above the table."""
    if _is_summary(schema):
        return
    yield from _keys(f"{path}.", schema)
    if "items" in schema:
        yield from _keys(f"{path}[].", schema["items"])
    values = schema.get("additionalProperties")
    if isinstance(values, dict) and not _is_summary(values):
        yield from _keys(f"{path}.NAME.", values)


def _is_summary(schema: Schema) -> bool:
    return set(SUMMARY_KEYS) <= set(schema.get("properties", {}))


def _kind(schema: Schema) -> str:
    if _is_summary(schema):
        return "summary"
    values = schema.get("additionalProperties")
    if isinstance(values, dict) and values:
        return f"NAME → {_kind(values)}"
    kind = schema.get("type", type(schema.get("const")).__name__.replace("int", "integer"))
    if kind == "array":
        return f"list of {_kind(schema['items'])}"
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _words(schema: Schema) -> str:
    words = str(schema.get("description", ""))
    if "enum" in schema:
        words += ": " + ", ".join(f"`{value}`" for value in schema["enum"])
    return words.replace("|", "\\|")


def refresh(path: Path) -> None:
    """Put the schema's table between the two marks of a document."""
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n\n{result_table()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    refresh(Path(sys.argv[1]))
