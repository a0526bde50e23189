"""The benchmark works and says something about everything; how fast this machine is, is not asked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import bare_sockets, scale, soak
from benchmarks.brokers import mosquitto_daemon
from benchmarks.figures import Figures, spread
from benchmarks.mosquitto_clients import available
from benchmarks.settings import QUICK
from benchmarks.table import FIRST, NOT_MEASURED, ROWS, render, rows

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
PLAUSIBLE = {
    "rss_one": (1e6, 1e9),
    "rss_client": (1e3, 1e8),
    "cpu_fixed": (1e-3, 60),
    "cpu_connect": (1e-4, 1),
    "connect_rate": (QUICK.connect_rate * 0.1, QUICK.connect_rate * 1.5),
    "cpu_idle": (0, 1),
    "cpu_message": (1e-6, 1e-1),
    "rate": (QUICK.rate * 0.2, QUICK.rate * 1.5),
    "send_lag_p50": (0, 60),
    "send_lag_p99": (0, 60),
}
"""Wide enough for any machine: a wrong unit or a swapped figure is outside."""


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """What `python -m benchmarks --quick` prints for each broker, both together, and their figures.

    The rivals run against one broker: they know no more of it than its address and CA.
    """
    folder = tmp_path_factory.mktemp("bench")
    brokers: dict[str, list[str]] = {
        "embedded": [],
        **({"mosquitto": ["--alone"]} if mosquitto_daemon() else {}),
    }
    # Side by side: how fast this machine is, is not asked, and half of the time is spent waiting.
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks", "--quick", "--broker", name, "--json", folder / name, *more],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, more in brokers.items()
    ]
    outputs = [process.communicate() for process in started]
    assert [process.returncode for process in started] == [0] * len(started), outputs
    figures = [json.loads((folder / name).read_text(encoding="utf-8")) for name in brokers]
    measured = {name: one for each in figures for name, one in each["brokers"].items()}
    return "".join(output for output, _ in outputs), {**figures[0], "brokers": measured}


def test_every_broker_and_contender_of_this_machine_is_measured(quick: tuple[str, dict[str, Any]]) -> None:
    _, found = quick
    brokers = found["brokers"]
    assert [name.split()[0] for name in brokers] == ["the", *(["Mosquitto"] if mosquitto_daemon() else [])]
    contenders = ["loadgen", "--client", "aiomqtt", *(["mosquitto_pub/sub"] if available() else []), "bare"]
    for broker, measured in brokers.items():
        wanted = ["loadgen"] if broker.startswith("Mosquitto") else contenders
        assert [name.split()[0] for name in measured] == wanted
        assert all(len(repeats) == QUICK.repeats for repeats in measured.values())


def test_every_figure_is_there_and_plausible(quick: tuple[str, dict[str, Any]]) -> None:
    _, found = quick
    assert set(ROWS) == set(PLAUSIBLE)
    for measured in found["brokers"].values():
        for name, repeats in measured.items():
            for figure, value in repeats[0].items():
                if name == "mosquitto_pub/sub" and (figure.startswith("send_lag") or value is None):
                    assert value is None
                    continue
                if figure == "connect_rate" and name not in {"loadgen", "--client aiomqtt"}:
                    assert value is None
                    continue
                if name == bare_sockets.NAME and figure not in {"cpu_message", "rate"}:
                    assert value is None
                    continue
                least, most = PLAUSIBLE[figure]
                assert value is not None, (name, figure)
                assert least <= value <= most, (name, figure, value)
    assert set(found["parts"]) == {"load", "handshake"}
    assert all(1e-6 < part < 1 for part in found["parts"].values())


def test_the_table_has_a_cell_for_each(quick: tuple[str, dict[str, Any]]) -> None:
    output, found = quick
    lines = [line for line in output.splitlines() if line.startswith("| ")]
    assert len(lines) == len(found["brokers"]) * (1 + len(ROWS))
    for line in lines:
        label, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        assert all(cells), line
        if label:
            assert NOT_MEASURED not in cells[:2]


def test_ratios_are_of_medians_and_to_loadgen() -> None:
    measured: Mapping[str, Any] = {
        FIRST: spread([Figures(cpu_message=value, rate=5.0) for value in (1e-6, 4e-6, 2e-6)]),
        "other": spread([Figures(cpu_message=value, rate=5.0) for value in (3e-6, 9e-6, 5e-6)]),
    }
    table = {row[0]: row[1:] for row in rows(measured)}
    assert table["CPU per message, µs"] == ["1.0 / 2.0", "3.0 / 5.0 (2.5\N{MULTIPLICATION SIGN})"]
    assert table["achieved rate, messages/s"] == ["5 / 5", "5 / 5"]
    assert table["RSS with one client, MB"] == [NOT_MEASURED, NOT_MEASURED]


def test_the_table_is_markdown_with_aligned_columns() -> None:
    text = render([["", "a"], ["label", "1"]])
    assert text.splitlines() == ["|       | a |", "|-------|--:|", "| label | 1 |"]


def test_a_soak_tells_the_farthest_minute() -> None:
    assert soak.growth([100.0, 101.0, 99.5]) == (100.0, 0.01)
    assert soak.growth([100.0, 97.0, 101.0]) == (100.0, -0.03)


def test_the_scaling_tables_are_filled(capsys: pytest.CaptureFixture[str]) -> None:
    assert scale.main(["--quick"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [row[1:] for row in cells if not row[0]] == [
        ["10 clients", "40 clients"],
        ["1 worker", "2 workers"],
    ]
    costs = [row for row in cells if row[0].startswith("CPU")]
    assert len(costs) == 2
    for row in costs:
        assert row[1].endswith("(1.00)")
        assert all(1 < float(cell.split()[0]) < 100_000 for cell in row[1:])
