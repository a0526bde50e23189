"""`loadgen compare`: whether runs are worse than those before, and whether that can be told at all."""

from __future__ import annotations

import re
import sys
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

from loadgen.cli.options import Format, OutputFormat, colors, reader_may_leave, say, write_json
from loadgen.cli.step_summary import append_to_step_summary
from loadgen.compare import markdown as markdown_page
from loadgen.compare import text
from loadgen.compare.compare import DEFAULT_CONFIDENCE, DEFAULT_SEED, DEFAULT_TOLERANCE, Options
from loadgen.compare.compare import compare as compare_runs
from loadgen.errors import ConfigError
from loadgen.partial import result_of
from loadgen.store import open_run

_PERCENT = re.compile(r"(\d{1,4}(?:\.\d{1,6})?)\s*%")


def compare(
    base: Annotated[
        Path, typer.Argument(metavar="BASE", help="Folder of the run to compare with.", show_default=False)
    ],
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...",
            help="Folder of the run in question; several are repetitions of one experiment.",
            show_default=False,
        ),
    ],
    *,
    more_bases: Annotated[
        list[Path] | None,
        typer.Option("--base", metavar="FOLDER", help="One more repetition of BASE; repeatable."),
    ] = None,
    tolerance: Annotated[
        str, typer.Option(metavar="PERCENT", help="The change that is no regression, such as 10%.")
    ] = f"{DEFAULT_TOLERANCE:.0%}",
    confidence: Annotated[
        str,
        typer.Option(
            metavar="PERCENT", help="How sure it is that not one of all intervals misses its value."
        ),
    ] = f"{DEFAULT_CONFIDENCE:.0%}",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the resampling.")] = DEFAULT_SEED,
    allow_invalid: Annotated[
        bool,
        typer.Option("--allow-invalid", help="Compare runs that prove nothing, or ended early, too."),
    ] = False,
    different_scenarios: Annotated[
        bool, typer.Option("--different-scenarios", help="Compare runs of scenarios that differ, too.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with overlaid charts.")
    ] = None,
    markdown: Annotated[
        bool,
        typer.Option(
            "--markdown",
            help="Print Markdown instead of text; append it to GITHUB_STEP_SUMMARY's file, if set.",
        ),
    ] = False,
    output_format: OutputFormat = Format.TEXT,
) -> int:
    """Compare runs of one scenario: BASE with RUN, figure by figure, with the uncertainty of each difference.

    A regression is called only when the whole confidence interval of a figure lies beyond the tolerance, and
    the difference is more than loadgen's own lateness. docs/compare.md says how, and what it cannot tell.

    Exit codes: 0 no regression · 99 a regression · 104 a run cannot be compared, or the scenarios differ.
    """
    options = Options(
        tolerance=_portion("--tolerance", tolerance, most=1000),
        confidence=_portion("--confidence", confidence, most=99.99, least=50),
        seed=seed,
        allow_invalid=allow_invalid,
        different_scenarios=different_scenarios,
    )
    before, after = (
        [result_of(open_run(each)) for each in side] for side in ((base, *(more_bases or ())), runs)
    )
    found = compare_runs(before, after, options)
    if html is not None:
        # Bokeh takes half a second to load.
        from loadgen.compare.page import write_page  # noqa: PLC0415

        write_page(found, html)
        say(f"page: {html}")
    with reader_may_leave():
        if markdown:
            written = markdown_page.render(found)
            sys.stdout.write(written)
            append_to_step_summary(written)
        elif output_format is Format.JSON:
            write_json(found.to_dict())
        else:
            sys.stdout.write(text.render(found, color=colors()) + "\n")
    return int(found.exit_code)


def _portion(option: str, text: str, *, most: float, least: float = 0.0) -> float:
    match = _PERCENT.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f'{option}: "{text}" is not a percentage', f"write for example {option} 10%")
    value = float(match[1])
    if not least <= value <= most:
        raise ConfigError(
            f"{option}: {text} is out of range", f"write something from {least:g}% to {most:g}%"
        )
    return value / 100
