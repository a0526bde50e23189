from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from loadgen.store import open_run
from tests.made_run import CLIENTS, FAN_OUT, NODES, RATE, make_run, snapshots

if TYPE_CHECKING:
    from pathlib import Path


def test_a_row_for_each_interval(tmp_path: Path) -> None:
    table = open_run(make_run(tmp_path)).table()
    assert [row["start_seconds"] for row in table] == [float(second) for second in range(13)]
    assert {tuple(row) for row in table} == {tuple(table[0])}  # the same columns in all
    row = table[7]
    assert (row["stage"], row["length_seconds"]) == ("steady", 1.0)
    assert row["connected_clients"] == CLIENTS + 2
    assert row[f"connected_clients[{NODES[0]}]"] == 4
    assert row["published_per_second"] == row["published_total"] == 2 * RATE
    assert row["received_per_second"] == 2 * RATE * FAN_OUT
    assert row["bytes_sent"] == 2 * RATE * 300
    assert row["generator_rss_bytes"] == 60_000_000
    one, other = (each.select("publish_latency") for each in snapshots() if each.interval == 7)
    both = one + other
    assert row["publish_latency_samples"] == both.count
    assert row["publish_latency_p99_seconds"] == pytest.approx(both.percentile(99.0) / 1e9)
    assert row["publish_latency_max_seconds"] == pytest.approx(both.max / 1e9)


def test_what_was_not_measured_is_none(tmp_path: Path) -> None:
    row = open_run(make_run(tmp_path)).table()[0]
    assert row["stage"] == "connect"
    assert (row["publish_latency_samples"], row["publish_latency_p99_seconds"]) == (0, None)


def test_a_client_library_that_does_not_count_bytes_has_none(tmp_path: Path) -> None:
    path = make_run(tmp_path)
    lines = (path / "snapshots.jsonl").read_text().replace('"bytes_', '"octets_')
    (path / "snapshots.jsonl").write_text(lines)
    assert {row["bytes_sent"] for row in open_run(path).table()} == {None}


def test_of_one_group(tmp_path: Path) -> None:
    run = open_run(make_run(tmp_path))
    row = run.table("dashboards")[7]
    assert (row["published_total"], row["received_total"]) == (0, 2 * RATE * FAN_OUT)
    assert row["publish_latency_samples"] == 0
    assert row["delivery_latency_samples"] == 2 * RATE * FAN_OUT
    assert row["connected_clients"] == 2
    assert "loop_lag_p99_seconds" not in row  # it is of the generator, and of no group
    assert not [column for column in row if NODES[0] in column]
