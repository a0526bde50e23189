"""The command line: parse, call, map errors to exit codes, nothing else."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from typing import Annotated

import typer

import loadgen
from loadgen.cli import certs, cluster
from loadgen.cli.compare import compare
from loadgen.cli.doctor import doctor
from loadgen.cli.mark import mark
from loadgen.cli.options import reader_may_leave
from loadgen.cli.plan import plan
from loadgen.cli.provision import deprovision, provision
from loadgen.cli.report import report
from loadgen.cli.run import run
from loadgen.cli.schema import schema
from loadgen.errors import ConfigError, ExitCode, LoadgenError, TargetError

app = typer.Typer(
    name="loadgen",
    help="Load-test MQTT 5 clients with their own certificates against a RabbitMQ cluster.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"auto_envvar_prefix": "LOADGEN", "help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 pass · 98 invalid · 99 thresholds failed · 104 bad scenario or configuration · "
    "105 interrupted · 106 target unreachable · 107 internal error.",
)
app.command()(run)
app.command()(plan)
app.command()(report)
app.command()(compare)
app.command()(mark)
app.command()(provision)
app.command()(deprovision)
app.command()(schema)
app.command()(doctor)
app.add_typer(certs.app, name="certs")
app.add_typer(cluster.app, name="cluster")


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer's callback protocol
    if wanted:
        typer.echo(loadgen.__version__)
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_version, is_eager=True, allow_from_autoenv=False
        ),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run a command and end the process with its exit code; no traceback reaches a user."""
    # SIGTERM ends every command as Ctrl-C does: what was started is stopped, what was measured is kept.
    signal.signal(signal.SIGTERM, lambda _number, _frame: signal.raise_signal(signal.SIGINT))
    sys.exit(call(sys.argv[1:]))


def call(arguments: list[str]) -> int:
    """Run a command line and give its exit code."""
    outcome: object = None
    try:
        with reader_may_leave():
            outcome = app(arguments, prog_name="loadgen", standalone_mode=False)
    except SystemExit:
        # typer's answer to a reader of our output who has gone; it has silenced stdout already.
        return int(ExitCode.PASS)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last line of defence
        return _tell(error)
    if outcome == _TYPERS_INTERRUPTED:
        return _tell(KeyboardInterrupt())
    return outcome if isinstance(outcome, int) else int(ExitCode.PASS)


_TYPERS_INTERRUPTED = 130
"""What typer makes of KeyboardInterrupt; no command of ours ends with it."""


def _tell(error: BaseException) -> int:
    """Say in words what ended a command, and give the exit code for it."""
    code = ExitCode.INTERNAL
    if isinstance(error, LoadgenError):
        code = error.exit_code
        show_error(error)
    elif isinstance(error, typer.TyperException):
        code = ExitCode.BAD_CONFIG
        _say(f"error: {error.format_message()} (see loadgen --help)")
    elif isinstance(error, KeyboardInterrupt | typer.Abort):
        code = ExitCode.INTERRUPTED
        _say("interrupted")
    elif isinstance(error, OSError) and error.filename:
        # A file that is not ours to read or write, or a full disk.
        code = ExitCode.BAD_CONFIG
        _say(f"error: {error.filename}: {error.strerror}")
    else:
        # A bug of ours, told in one line.
        if os.environ.get("LOADGEN_DEBUG"):
            traceback.print_exception(error)
        _say(f"internal error: {type(error).__name__}: {error} (a bug; LOADGEN_DEBUG=1 shows where)")
    return int(code)


def show_error(error: LoadgenError) -> None:
    """Print an error, a line for each problem."""
    if isinstance(error, ConfigError | TargetError):
        for problem in error.problems:
            _say(f"{'warning' if problem.warning else 'error'}: {problem}")
        return
    _say(f"error: {error}")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
