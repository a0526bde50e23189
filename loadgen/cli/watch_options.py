"""Options of `loadgen run` for those who watch it."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from loadgen.errors import ConfigError
from loadgen.live.view import Form
from loadgen.scenario.units import parse_duration

LOCALHOST = "127.0.0.1"


class View(enum.StrEnum):
    """What is shown while the run goes on."""

    AUTO = Form.AUTO.value
    PLAIN = Form.PLAIN.value
    JSON = Form.JSON.value
    QUIET = Form.QUIET.value


ViewOption = Annotated[
    View,
    typer.Option(
        "--view",
        help="While it runs, on stderr: a live panel on a terminal and lines otherwise (auto), one line a "
        "second (plain), one JSON object a second (json), or nothing (quiet).",
    ),
]
PrometheusPort = Annotated[
    int | None,
    typer.Option(
        "--prometheus-port",
        metavar="PORT",
        min=0,
        max=65535,
        help="Serve metrics for Prometheus at http://127.0.0.1:PORT/metrics while it runs; 0 takes a free "
        "port. Names: docs/live.md.",
    ),
]
PrometheusHost = Annotated[
    str,
    typer.Option(
        "--prometheus-host",
        metavar="ADDRESS",
        help="Address to serve the metrics on; 0.0.0.0 for all. There is no password.",
    ),
]
PrometheusLinger = Annotated[
    str,
    typer.Option(
        "--prometheus-linger",
        metavar="DURATION",
        help="How long to wait at the end, at most, for the scrape that sees the verdict; not at all if "
        "nobody has scraped.",
    ),
]
WebPort = Annotated[
    int | None,
    typer.Option(
        "--web",
        metavar="PORT",
        min=0,
        max=65535,
        help="Serve a live page with the report's charts at http://127.0.0.1:PORT while it runs; 0 takes a "
        "free port.",
    ),
]
WebHost = Annotated[
    str,
    typer.Option(
        "--web-host",
        metavar="ADDRESS",
        help="Address to serve the live page on; 0.0.0.0 for all. There is no password.",
    ),
]
Otel = Annotated[
    bool,
    typer.Option(
        "--otel",
        help="Send metrics to OpenTelemetry while it runs, by OTLP over HTTP, as OTEL_EXPORTER_OTLP_ENDPOINT "
        "and the other OTEL_… variables say (pip install 'loadgen[otel]').",
    ),
]


def seconds_of(flag: str, text: str) -> float:
    """Read a duration that was given with a flag, in seconds.

    Raises:
        ConfigError: it is none.
    """
    try:
        return parse_duration(text) / 1e9
    except ValueError as error:
        raise ConfigError(f"{flag}: {error}", f"write for example {flag} 15s") from error
