"""The JSON Schema of `drift` in result.json."""

from __future__ import annotations

from loadgen.report.schema_parts import listing, number, record, text, whole

DRIFT = listing(
    "slopes of the steady stage: a row for each limit, in runs of ten minutes and more also without",
    record(
        "what one metric gained in an hour",
        {
            "metric": text("what it is, as in the scenario's `drift.limits`"),
            "unit": text("unit of the figures", enum=["seconds", "bytes", "messages", "clients"]),
            "stage": text("the stage that was judged", nullable=True),
            "points": whole("points the line was laid through; each may be an average"),
            "seconds": number("how long the judged time was", nullable=True),
            "level": number("what it was in the first quarter of that time, its median", nullable=True),
            "slope": number("gain in an hour: the median of all slopes between two points", nullable=True),
            "low": number("lower end of the slope's 95 % confidence interval", nullable=True),
            "high": number("upper end of it", nullable=True),
            "limit": text("as in the scenario; null when it has none", nullable=True),
            "limit_per_hour": number("the limit in the unit; null when it could not be told", nullable=True),
            "verdict": text(
                "pass, fail, or invalid when the run was too short or noisy to tell; null without a limit",
                nullable=True,
            ),
            "reason": text("why it is not a pass; may be empty"),
        },
        required=("metric", "unit", "points", "slope", "low", "high", "limit", "verdict", "reason"),
    ),
)
