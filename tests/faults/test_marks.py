"""Marks on their way from `loadgen mark` to the run, whole lines only."""

from __future__ import annotations

import json
from time import monotonic_ns
from typing import TYPE_CHECKING

import pytest

from loadgen.cli import call
from loadgen.faults.marks import MARKS, Mark, MarkReader, write_mark
from loadgen.store import RunWriter, is_running

if TYPE_CHECKING:
    from pathlib import Path


def test_marks_arrive_once_and_in_order(tmp_path: Path) -> None:
    reader = MarkReader(tmp_path)
    assert reader.new() == []
    before = monotonic_ns()
    first, second = write_mark(tmp_path, "one"), write_mark(tmp_path, "two", 5)
    assert before <= first.ns <= second.ns <= monotonic_ns()
    assert reader.new() == [first, second]
    assert reader.new() == []
    third = write_mark(tmp_path, "thr\u00e9e\n")
    assert reader.new() == [third]


def test_half_a_line_waits_and_a_damaged_one_is_left_out(tmp_path: Path) -> None:
    reader, file = MarkReader(tmp_path), tmp_path / MARKS
    whole = json.dumps({"ns": 7, "text": "x"})
    file.write_text("no json\n[1]\n{}\n" + whole[:9])
    assert reader.new() == []
    file.write_text("no json\n[1]\n{}\n" + whole + "\n")
    assert reader.new() == [Mark(7, "x")]


def test_a_run_is_running_until_its_writer_ends(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, "x", "name: x\n", {})
    assert is_running(writer.path)
    writer.finish({})
    assert not is_running(writer.path)
    killed = RunWriter(tmp_path, "y", "name: y\n", {})
    killed._events.close()  # as the system does when a process is killed
    killed._snapshots.close()
    assert not is_running(killed.path)
    assert not is_running(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mark", "x"], "runs/latest does not exist"),
        (["mark", " "], "a mark needs words"),
        (["mark", "x" * 201], "at most 200 characters"),
        (["mark", "x", "--for", "soon"], "--for: "),
    ],
)
def test_a_mark_that_cannot_be_made(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(arguments) == 104
    assert words in capsys.readouterr().err
