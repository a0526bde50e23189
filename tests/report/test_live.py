from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from loadgen.report.live import LiveState, LiveView, plain_line

STATE = LiveState(
    elapsed=83.0,
    stage="steady",
    stage_left=37.0,
    clients=300,
    connected=299,
    published_rate=211.4,
    acknowledged_rate=211.0,
    delivered_rate=634.0,
    publish_p50=0.004,
    publish_p99=0.0136,
    delivery_p50=0.006,
    delivery_p99=0.0204,
    send_lag_p99=0.001,
    errors={"CONNACK 0x86": 3, "lost": 0},
    workers=2,
)


def console(*, terminal: bool) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, force_terminal=terminal, width=100, height=30, color_system=None), out


def test_a_plain_line_starts_with_the_elapsed_time_and_is_one_line() -> None:
    line = plain_line(STATE)
    assert line.split("  ")[0].strip() == "1m 23s"
    assert "connected=299/300" in line
    assert "publish p50/p99=4.00 ms/13.6 ms" in line
    assert "CONNACK 0x86" in line
    assert "lost" not in line
    assert "\n" not in line


def test_a_second_without_samples_shows_no_latency() -> None:
    line = plain_line(LiveState(elapsed=1, stage="connect", clients=10, connected=2))
    assert "p50" not in line
    assert "send_lag" not in line


def test_a_lagging_generator_is_marked() -> None:
    assert "!" not in plain_line(STATE)
    assert "send_lag p99=500 ms !" in plain_line(replace(STATE, send_lag_p99=0.5))


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
        "smoke",
        "steady",
        "37s left",
        "299 of 300 clients",
        "13.6 ms",
        "2 workers",
        "CONNACK 0x86",
    ):
        assert words in shown
    assert "\x1b[2K" in out.getvalue()[len(shown) :]


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
    with LiveView(plain=True) as view:
        view.update(STATE)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "steady" in captured.err
