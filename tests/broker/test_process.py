from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from loadgen.broker.process import (
    OWNER_VARIABLE,
    ProcessRef,
    end_all,
    processes_of,
    start_detached,
    wait_until,
)

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

PATH = {"PATH": os.environ["PATH"]}
STUBBORN = "trap '' TERM; echo ready; while :; do sleep 1; done"


def test_a_detached_process_is_its_own_session_and_its_output_goes_to_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = start_detached(["sh", "-c", "echo hello; exec sleep 60"], PATH, log)
    try:
        assert process.alive()
        assert os.getsid(process.pid) != os.getsid(0)
        assert wait_until(lambda: log.read_text() == "hello\n", 20, 0.01)
    finally:
        end_all([process], 5)
    assert not process.alive()


def test_a_detached_process_inherits_nothing_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", "s3cret")
    log = tmp_path / "log"
    process = start_detached(["env"], PATH, log)
    assert wait_until(lambda: not process.alive(), 20, 0.01)
    assert "PATH=" in log.read_text()
    assert "s3cret" not in log.read_text()


def test_a_process_raises_its_limit_of_open_files_to_what_is_allowed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = start_detached(["sh", "-c", "ulimit -S -n; ulimit -H -n"], PATH, log)
    assert wait_until(lambda: not process.alive(), 20, 0.01)
    soft, hard = log.read_text().split()
    assert soft == hard


def test_another_process_with_the_same_id_is_not_ours() -> None:
    here = ProcessRef.of(os.getpid())
    assert here.alive()
    impostor = ProcessRef(here.pid, here.started - 1)
    assert not impostor.alive()
    impostor.send(signal.SIGKILL)  # must not reach us


def test_a_process_that_ended_and_awaits_its_parent_is_not_alive() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    process = ProcessRef.of(child.pid)
    assert wait_until(lambda: not process.alive(), 10, 0.01)
    assert child.wait() == 0


def test_a_process_that_ignores_sigterm_is_killed_and_named(tmp_path: Path) -> None:
    log = tmp_path / "log"
    stubborn = start_detached(["sh", "-c", STUBBORN], PATH, log)
    obedient = start_detached(["sleep", "60"], PATH, tmp_path / "other")
    assert wait_until(lambda: log.read_text() == "ready\n", 20, 0.01)
    assert end_all([stubborn, obedient], 0.3) == [stubborn]
    assert not stubborn.alive()
    assert not obedient.alive()


def test_a_paused_process_is_ended_too(tmp_path: Path) -> None:
    process = start_detached(["sleep", "60"], PATH, tmp_path / "log")
    process.send(signal.SIGSTOP)
    assert wait_until(lambda: process.state() == "T", 20, 0.01)
    assert end_all([process], 5) == []
    assert not process.alive()


def test_processes_are_found_by_the_cluster_they_belong_to(tmp_path: Path) -> None:
    mine, others = tmp_path / "mine", tmp_path / "mine-too"
    environment = PATH | {OWNER_VARIABLE: str(mine)}
    process = start_detached(["sleep", "60"], environment, tmp_path / "log")
    other = start_detached(["sleep", "60"], PATH | {OWNER_VARIABLE: str(others)}, tmp_path / "log")
    try:
        assert wait_until(lambda: processes_of(mine) == [process], 20, 0.01)
    finally:
        end_all([process, other], 5)
    assert processes_of(mine) == []
    assert processes_of(others) == []


def test_waiting_ends_at_the_deadline() -> None:
    assert not wait_until(lambda: False, 0.05, 0.01)
