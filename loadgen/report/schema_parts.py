"""Small makers of JSON Schema nodes, so that the schema of a result reads like a table."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

SUMMARY_KEYS = ("count", "mean", "min", "p50", "p90", "p95", "p99", "p99_9", "max", "out_of_range")
"""Keys of a latency summary, in the order written."""


def whole(description: str, *, minimum: int | None = 0, nullable: bool = False) -> Schema:
    """A whole number, by default not negative; `nullable` when there may be nothing to tell."""
    kind = ["integer", "null"] if nullable else "integer"
    return {"type": kind, "description": description} | ({} if minimum is None else {"minimum": minimum})


def number(description: str, *, nullable: bool = False) -> Schema:
    """A number; `nullable` when there may be nothing to tell."""
    return {"type": ["number", "null"] if nullable else "number", "description": description}


def text(description: str, *, nullable: bool = False, **more: object) -> Schema:
    """A string; `more` may add `enum`, `format` or `pattern`."""
    return {"type": ["string", "null"] if nullable else "string", "description": description, **more}


def flag(description: str) -> Schema:
    """A boolean."""
    return {"type": "boolean", "description": description}


def listing(description: str, items: Schema) -> Schema:
    """An array of one kind of item."""
    return {"type": "array", "description": description, "items": items}


def mapping(description: str, values: Schema) -> Schema:
    """An object whose keys are names of the run, all with one kind of value."""
    return {"type": "object", "description": description, "additionalProperties": values}


def record(
    description: str, properties: dict[str, Schema], *, required: tuple[str, ...] = (), **more: object
) -> Schema:
    """An object with known keys; others may stand beside them, so that later versions can add."""
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": list(required),
        "additionalProperties": True,
        **more,
    }


def summary(description: str) -> Schema:
    """A latency distribution; all values null when there was no sample."""
    return record(
        description,
        {
            "count": whole("samples in range"),
            "mean": number("arithmetic mean, seconds", nullable=True),
            "min": number("smallest sample, seconds", nullable=True),
            "p50": number("median, seconds", nullable=True),
            "p90": number("90th percentile, seconds", nullable=True),
            "p95": number("95th percentile, seconds", nullable=True),
            "p99": number("99th percentile, seconds", nullable=True),
            "p99_9": number("99.9th percentile, seconds", nullable=True),
            "max": number("largest sample, seconds", nullable=True),
            "out_of_range": whole("samples above one hour: counted here and in no percentile"),
        },
        required=SUMMARY_KEYS,
    )
