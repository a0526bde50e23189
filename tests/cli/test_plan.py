"""`loadgen plan` shows what will happen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from loadgen.cli import call
from tests.cli.conftest import write_scenario

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.cli.conftest import Certs

FAULTS = """\
faults:
  - {at: steady+400ms, run: "false", heal: "true", heal_after: 2s}
  - {at: steady+100ms, name: twice, run: "true", repeat: {times: 2, every: 50ms}}
"""


def test_the_faults_in_the_order_of_time(
    tmp_path: Path, certs: Certs, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_scenario(tmp_path, certs, 8883)
    path.write_text(path.read_text(encoding="utf-8") + FAULTS, encoding="utf-8")
    assert call(["plan", str(path)]) == 0
    shown = [line for line in capsys.readouterr().out.splitlines() if "steady+" in line]
    assert shown == [
        "faults     steady+100ms: run true (twice#1), never healed",
        "           steady+150ms: run true (twice#2), never healed",
        "           steady+400ms: run false, healed after 2s",
    ]
    assert call(["plan", str(path), "--output-format", "json"]) == 0
    assert [each["name"] for each in json.loads(capsys.readouterr().out)["faults"]] == [
        "twice#1",
        "twice#2",
        "run",
    ]


def test_what_the_target_cannot_do_is_told_where_it_is_written_and_once(
    tmp_path: Path, certs: Certs, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_scenario(tmp_path, certs, 8883)
    lines = path.read_text(encoding="utf-8").splitlines()
    repeated = "  - {at: steady+1ms, kill: one, heal_after: 1ms, repeat: {times: 2, every: 9ms}}"
    path.write_text("\n".join([*lines, "faults:", repeated]) + "\n", encoding="utf-8")
    assert call(["plan", str(path)]) == 104
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(told) == 1
    assert (
        f"small.yaml:{len(lines) + 2}: faults.0.kill: the fault kill needs control over the nodes" in told[0]
    )
    assert "add control: to the target" in told[0]
