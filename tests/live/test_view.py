"""The view on the terminal, as lines and as JSON."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from loadgen.live.lines import plain_line
from loadgen.live.state import Health, Latency, LiveState
from loadgen.live.view import Form, LiveView
from tests.live.states import STATE

SLOW = Latency(0.1, 0.3, 0.5, 0.9)


def console(*, terminal: bool, width: int = 100) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, force_terminal=terminal, width=width, height=30, color_system=None), out


def drawn(state: LiveState, width: int = 100) -> str:
    screen, out = console(terminal=True, width=width)
    with LiveView(title="smoke", console=screen) as view:
        view.update(state)
        return Text.from_ansi(out.getvalue()).plain


def test_a_plain_line_starts_with_the_elapsed_time_and_is_one_line() -> None:
    line = plain_line(STATE)
    assert line.split("  ")[0].strip() == "1m 23s"
    assert "  steady  connected=299/300  " in line
    assert "  left=37s  " in line
    assert "connected=299/300" in line
    assert "publish p50/p99=4.00 ms/13.6 ms" in line
    assert "cpu=43.0 %" in line
    assert "CONNACK 0x86" in line
    assert "reset" not in line
    assert "\n" not in line


def test_a_second_without_samples_shows_no_latency() -> None:
    line = plain_line(LiveState(elapsed=1, stage="connect", clients=10, connected=2))
    assert "p50" not in line
    assert "send_lag" not in line
    assert "cpu" not in line


def test_a_lagging_generator_is_marked() -> None:
    assert "!" not in plain_line(STATE)
    assert "loop_lag" not in plain_line(STATE)
    line = plain_line(replace(STATE, health=Health(send_lag=SLOW, loop_lag=SLOW, cpu=0.97)))
    assert "send_lag p99=500 ms !" in line
    assert "loop_lag p99=500 ms !" in line
    assert "cpu=97.0 % !" in line


def test_the_scenarios_limits_are_the_ones_that_count() -> None:
    assert Health(send_lag=SLOW, send_lag_limit=1.0, loop_lag=SLOW).troubles == ("loop_lag",)


def test_many_causes_of_errors_are_cut_short_the_worst_first() -> None:
    line = plain_line(replace(STATE, errors={f"cause {n}": n for n in range(1, 11)}))
    assert re.search(r"errors: cause 10 .10, cause 9 .9, ", line)
    assert line.endswith("and 4 other causes")


def test_off_a_terminal_each_update_is_a_line() -> None:
    screen, out = console(terminal=False)
    with LiveView(title="smoke", console=screen) as view:
        view.update(STATE)
        view.update(replace(STATE, elapsed=84.0))
    assert [line.split("  ")[0].strip() for line in out.getvalue().splitlines()] == ["1m 23s", "1m 24s"]


def test_on_a_terminal_the_panel_is_drawn_and_wiped() -> None:
    screen, out = console(terminal=True)
    with LiveView(title="smoke", console=screen) as view:
        view.update(STATE)
        shown = out.getvalue()
    for words in (
        "smoke", "about 41s left in all", "connect  warm-up  steady  drain", "37s left",
        "299 of 300 clients", "12 in flight", "9.00 ms", "13.6 ms", "send lag p99 1.00 ms of 100 ms",
        "loop lag p99 400 µs of 100 ms", "CPU 43.0 % of a core", "123 MB in 2 workers", "CONNACK 0x86",
    ):  # fmt: skip
        assert words in shown
    assert "\x1b[2K" in out.getvalue()[len(shown) :]


def bar(text: str) -> int:
    return text.count("━") + text.count("╸")


def test_the_bar_grows_with_time_and_in_a_connect_stage_with_clients() -> None:
    early, late = (drawn(replace(STATE, stage_elapsed=60 * x, stage_left=60 * (1 - x))) for x in (0.1, 0.9))
    assert bar(early) < bar(late) / 4
    connecting = replace(STATE, stage="connect", stage_kind="connect", stage_left=None, connected=150)
    assert connecting.progress == 0.5
    assert "150 of 300" in drawn(connecting)
    assert replace(STATE, stage_elapsed=3.0, stage_left=1.0).progress == 0.75
    assert replace(connecting, clients=0).progress == 0.0


@pytest.mark.parametrize("width", [20, 34, 50, 80, 200])
def test_the_panel_fits_into_narrow_terminals(width: int) -> None:
    state = replace(STATE, stage="a-stage-with-a-rather-long-name-indeed", faults=("kill 127.0.0.2:8883",))
    text = drawn(state, width)
    assert all(cell_len(line) <= width for line in text.splitlines())
    assert "13.6 ms" in text or width < 34


def test_an_overloaded_generator_says_so_in_the_panel() -> None:
    text = drawn(replace(STATE, health=Health(send_lag=SLOW, dropped=1234)))
    assert "send lag p99 500 ms of 100 ms" in text
    assert "1,234 dropped" in text


def test_markup_and_escapes_in_names_are_shown_as_they_are() -> None:
    for terminal in (False, True):
        screen, out = console(terminal=terminal)
        with LiveView(title="[bold]x", console=screen) as view:
            view.update(replace(STATE, stage="[red]\x1b[2J"))
            view.note("[red]\x1b[2J")
        assert "[red]\\x1b[2J" in out.getvalue()
        assert "\x1b[2J" not in out.getvalue()


def test_the_terminal_is_given_back_after_an_error() -> None:
    screen, out = console(terminal=True)

    def fail() -> None:
        with LiveView(console=screen) as view:
            view.update(STATE)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    hidden, shown = out.getvalue().rfind("\x1b[?25l"), out.getvalue().rfind("\x1b[?25h")
    assert shown > hidden >= 0


def test_the_default_is_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with LiveView(form=Form.PLAIN) as view:
        view.update(STATE)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "steady" in captured.err


def test_quiet_says_nothing_but_warnings() -> None:
    screen, out = console(terminal=True)
    with LiveView(console=screen, form=Form.QUIET) as view:
        view.update(STATE)
        view.note("stage steady")
        view.warn("a key is world-readable")
        view.end(verdict="pass", exit_code=0, path="runs/x")
    assert out.getvalue() == "warning: a key is world-readable\n"


def test_json_lines_are_objects_in_base_units() -> None:
    screen, out = console(terminal=False, width=20)  # far narrower than a line
    with LiveView(title="smoke", console=screen, form=Form.JSON) as view:
        view.warn("one")
        view.note("stage steady (hold)\x1b[2J")
        view.update(STATE)
        view.update(LiveState(elapsed=1, stage="connect", clients=10, connected=2))
        view.end(verdict="pass", exit_code=0, path="runs/x")
    warning, note, second, empty, end = map(json.loads, out.getvalue().splitlines())
    assert warning == {"event": "warning", "text": "one"}
    assert note == {"event": "note", "text": "stage steady (hold)\x1b[2J"}
    assert "\x1b" not in out.getvalue()
    assert second["event"] == "second"
    assert second["elapsed_seconds"] == 83.0
    assert second["stage"] == {
        "name": "steady", "kind": "hold", "elapsed_seconds": 23.0, "left_seconds": 37.0,
    }  # fmt: skip
    assert second["publish_latency_seconds"] == {"p50": 0.004, "p95": 0.009, "p99": 0.0136, "max": 0.02}
    assert second["messages_per_second"]["published"] == 211.4
    assert second["generator"]["resident_memory_bytes"] == 123_000_000
    assert second["generator"]["busiest_worker_cores"] == 0.43
    assert second["errors"]["CONNACK 0x86 bad user name or password"] == 3
    assert empty["publish_latency_seconds"] is None
    assert empty["stage"]["left_seconds"] is None
    assert end == {"event": "end", "verdict": "pass", "exit_code": 0, "path": "runs/x"}
