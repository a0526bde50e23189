"""Charts as files: drawn with matplotlib out of a run made by hand, and read again as XML."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from loadgen.errors import ConfigError
from loadgen.metrics.broker_sample import BrokerSample, NodeSample
from loadgen.metrics.histogram import Histogram
from loadgen.metrics.snapshot import Snapshot
from loadgen.partial import result_of
from loadgen.report.chart_files import write_charts
from loadgen.store import RunWriter, open_run
from tests.made_run import ORIGIN, make_run

if TYPE_CHECKING:
    from pathlib import Path

SVG = "{http://www.w3.org/2000/svg}"
ALWAYS = {"rates", "connected", "publish_latency", "delivery_latency", "spectrum"}


def texts(path: Path) -> list[str]:
    """What a chart says, in the order of drawing."""
    return ["".join(element.itertext()) for element in ET.parse(path).iter(f"{SVG}text")]


def longest_line(path: Path) -> int:
    """How many points the longest line of a chart has."""
    root = ET.parse(path).getroot()
    lines = [
        element.attrib["d"].count("L") + 1 for element in root.iter(f"{SVG}path") if "style" in element.attrib
    ]
    return max(lines)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("made")
    return {path.stem: path for path in write_charts(open_run(make_run(folder)), "svg", folder / "svg")}


def test_every_chart_with_data_is_drawn(drawn: dict[str, Path]) -> None:
    assert set(drawn) == ALWAYS | {"connection_phases", "generator"}
    for path in drawn.values():
        assert 5_000 < path.stat().st_size < 200_000


def test_a_chart_says_what_run_it_shows_and_names_its_axes(drawn: dict[str, Path]) -> None:
    for name, path in drawn.items():
        said = texts(path)
        assert "made  ·  rabbitmq 4.3.0  ·  14 clients  ·  2026-01-02 03:04 UTC  ·  verdict: fail" in said
        if name not in {"spectrum", "connection_phases"}:
            assert "time since the start of the run" in said, name
            assert "kill" in said, name
            assert {"connect", "warm-up", "steady"} <= set(said), name
    assert {"messages per second", "published", "acknowledged", "delivered"} <= set(texts(drawn["rates"]))
    assert {"p50", "p95", "p99", "max", "latency"} <= set(texts(drawn["publish_latency"]))
    assert {"127.0.0.1:8883", "127.0.0.3:8883"} <= set(texts(drawn["connected"]))
    assert {"publish, response (320)", "90 %", "99 %"} <= set(texts(drawn["spectrum"]))
    assert "limit of a valid run, 100 ms" in texts(drawn["generator"])


def test_the_lines_have_their_points(drawn: dict[str, Path]) -> None:
    assert longest_line(drawn["rates"]) >= 13
    assert longest_line(drawn["publish_latency"]) >= 8  # the warm-up has no samples, so no points


def test_the_same_run_gives_the_same_file(drawn: dict[str, Path], tmp_path: Path) -> None:
    again = write_charts(open_run(make_run(tmp_path)), "svg", tmp_path / "svg")
    assert again[0].read_bytes() == drawn[again[0].stem].read_bytes()


def test_what_the_brokers_told_is_drawn(tmp_path: Path) -> None:
    path = make_run(tmp_path)
    samples = [
        BrokerSample(ORIGIN + k * 10**9, messages_ready=k, nodes=(NodeSample("rabbit1@a", memory=10**8),))
        for k in range(5)
    ]
    (path / "brokers.jsonl").write_text("".join(json.dumps(asdict(each)) + "\n" for each in samples))
    drawn = {each.stem: each for each in write_charts(open_run(path), "svg", tmp_path / "svg")}
    assert {"rabbit1@a", "memory, MB"} <= set(texts(drawn["brokers_memory"]))
    assert "ready and unacknowledged" in texts(drawn["brokers_queues"])


def test_png_is_of_the_size_of_a_slide(tmp_path: Path) -> None:
    # One chart is enough: a run that has connected and no more.
    writer = RunWriter(tmp_path, "x", "name: x\n", {})
    writer.snapshot(Snapshot(0, 0, 0, 10**9, "s", {}, {}, {"connected|g": 3.0}).to_json())
    writer.finish({})
    (path,) = write_charts(open_run(writer.path), "png", tmp_path / "png")
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")) == (1920, 1080)


def test_a_run_that_proves_nothing_says_so_on_every_chart(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, "x", "name: x\n", {"scenario": "price $5_000$ 負荷"})
    writer.snapshot(
        Snapshot(
            0,
            0,
            0,
            10**9,
            "s",
            {"tcp_connect|g": Histogram([0])},
            {"published|g": 1},
            {"connected|g": 1.0},
        ).to_json()
    )
    writer.finish({})
    killed = result_of(open_run(writer.path))
    paths = write_charts(killed, "svg", tmp_path / "svg")
    assert {path.stem for path in paths} == {"rates", "connected", "connection_phases"}
    for path in paths:
        (subtitle,) = [words for words in texts(path) if "INVALID RUN" in words]
        assert "price $5_000$ 負荷" in subtitle  # a name is no formula


def test_a_run_without_data_has_no_charts(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, "x", "name: x\n", {})
    writer.finish({})
    assert write_charts(open_run(writer.path), "svg", tmp_path / "svg") == []


def test_twenty_faults_are_all_shaded_and_named_where_there_is_room(tmp_path: Path) -> None:
    fault = {"kind": "kill", "target": "busiest"}
    faults = [
        fault | {"name": f"kill#{k}", "window": {"start": 2 + 0.5 * k, "end": 2.2 + 0.5 * k}}
        for k in range(20)
    ]
    run = open_run(make_run(tmp_path, change={"faults": faults}))
    rates = next(path for path in write_charts(run, "svg", tmp_path / "svg") if path.stem == "rates")
    named = [words for words in texts(rates) if words.startswith("kill#")]
    assert 3 <= len(named) < 20
    assert rates.read_text().count("opacity: 0.13") == 20


def test_an_hour_is_marked_in_minutes(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, "x", "name: x\n", {})
    for second in range(0, 3700, 10):
        line = Snapshot(0, second, second * 10**9, (second + 1) * 10**9, "s", {}, {}, {"connected|g": 3.0})
        writer.snapshot(line.to_json())
    writer.finish({})
    (path,) = write_charts(open_run(writer.path), "svg", tmp_path / "svg")
    said = texts(path)
    assert said[:7] == ["0", "10m", "20m", "30m", "40m", "50m", "1h"]


def test_without_matplotlib_the_mend_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = open_run(make_run(tmp_path))
    for module in [name for name in sys.modules if name.startswith("loadgen.report.slide")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delattr("loadgen.report.slide", raising=False)
    monkeypatch.delattr("loadgen.report.slides", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match=r"need matplotlib.*pip install 'loadgen\[charts\]'"):
        write_charts(run, "svg", tmp_path / "svg")
    assert not (tmp_path / "svg").exists()


def test_no_command_loads_matplotlib_before_a_chart_is_due() -> None:
    code = "import sys, loadgen.cli; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
