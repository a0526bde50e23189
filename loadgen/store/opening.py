"""Finds a run's folder and opens it."""

from __future__ import annotations

import fcntl
from pathlib import Path

from loadgen.errors import ConfigError
from loadgen.store.files import EVENTS, PLAN, RESULT, SCENARIO, read_json
from loadgen.store.run import Run


def open_run(path: Path | str) -> Run:
    """Open a run's folder (or a `latest` link to one).

    Raises:
        ConfigError: there is no run, or its files are damaged.
    """
    folder = Path(path)
    if not (folder / SCENARIO).is_file():
        if folder.is_symlink() and not folder.exists():
            what = f"{folder} points to {folder.readlink()}, which is not there any more"
        elif not folder.exists():
            what = f"{folder} does not exist"
        else:
            what = f"{folder} is no run's folder: it holds no {SCENARIO}"
        raise ConfigError(what, "name the folder that a run wrote, such as runs/latest")
    folder = folder.resolve()
    return Run(folder, read_json(folder / RESULT), read_json(folder / PLAN))


def is_running(folder: Path) -> bool:
    """Whether a run writes into this folder at this moment, on this machine."""
    if (folder / RESULT).exists():
        return False
    try:
        with (folder / EVENTS).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
