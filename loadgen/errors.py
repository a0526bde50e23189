"""What can go wrong, by cause, and the exit code each cause gives.

Failures of the system under test are data and never raised; these are failures of ours or of what
we were given. Every error carries a `mend`: what the reader can do about it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class ExitCode(enum.IntEnum):
    """The process's exit codes; the numbers k6 users know, plus two of our own."""

    PASS = 0
    """Every threshold held and the generator kept up."""
    INVALID = 98
    """The run proves nothing: no samples, a worker lost, or the generator was the bottleneck."""
    THRESHOLDS_FAILED = 99
    """The system under test broke a threshold or a promise."""
    BAD_CONFIG = 104
    """The scenario, the flags or the certificates are wrong; nothing was started."""
    INTERRUPTED = 105
    """Stopped by Ctrl-C or SIGTERM; the results so far were kept and reported."""
    UNREACHABLE = 106
    """The target could not be reached, or refused the first client."""
    INTERNAL = 107
    """A bug in loadgen."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with an input: where, what, and how to mend it."""

    where: str
    """`file:line: key.path`, or whatever names the place best; may be empty."""
    what: str
    mend: str = ""
    warning: bool = False
    """A warning is shown and does not stop the run."""

    def __str__(self) -> str:
        """One line: `where: what (mend)`."""
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head} ({self.mend})" if self.mend else head


class LoadgenError(Exception):
    """Base of all errors that loadgen raises on purpose; never shown with a traceback."""

    exit_code: ExitCode = ExitCode.INTERNAL

    def __init__(self, what: str, mend: str = "") -> None:
        """Keep what happened and what the reader can do."""
        super().__init__(f"{what} ({mend})" if mend else what)
        self.what = what
        self.mend = mend


class ConfigError(LoadgenError):
    """A file, flag or certificate from a human is wrong; holds every problem found, not the first."""

    exit_code = ExitCode.BAD_CONFIG

    def __init__(self, problems: list[Problem] | str, mend: str = "") -> None:
        """Take all problems at once, or one as a plain sentence."""
        self.problems = [Problem("", problems, mend)] if isinstance(problems, str) else problems
        super().__init__("\n".join(str(problem) for problem in self.problems))


class TargetError(LoadgenError):
    """The target cannot be reached or does not take the first client; one problem for each cause."""

    exit_code = ExitCode.UNREACHABLE

    def __init__(self, problems: list[Problem] | str, mend: str = "") -> None:
        """Take all problems at once, or one as a plain sentence."""
        self.problems = [Problem("", problems, mend)] if isinstance(problems, str) else problems
        super().__init__("\n".join(str(problem) for problem in self.problems))


class BrokerError(LoadgenError):
    """A broker that loadgen itself should start, stop or provision did not do so."""

    exit_code = ExitCode.UNREACHABLE


class WorkerError(LoadgenError):
    """A worker process died or broke the protocol between coordinator and worker."""

    exit_code = ExitCode.INTERNAL


class ProtocolError(LoadgenError):
    """Base of the two ways a session can be misused."""


class LocalProtocolError(ProtocolError):
    """Our side asked a session for something its state does not allow: a bug of ours."""


class RemoteProtocolError(ProtocolError):
    """The broker sent something its state does not allow; counted as data by the engine."""
