"""The report in a real browser: charts are drawn and the console stays empty."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from loadgen.report.html import write_html

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")


def browse(page: Path, profile: Path) -> tuple[str, list[str]]:
    """Load a page; give its document when the scripts are done, and what the console said."""
    assert CHROMIUM is not None
    done = subprocess.run(
        [
            CHROMIUM, "--headless=new", "--disable-gpu", f"--user-data-dir={profile}",
            "--enable-logging=stderr", "--virtual-time-budget=15000", "--window-size=1280,900", "--dump-dom",
            *(["--no-sandbox"] if os.geteuid() == 0 else []), page.as_uri(),
        ],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    # Bokeh says its version and log level when it starts; Chromium marks errors no differently from that.
    said = [
        line for line in done.stderr.splitlines() if "CONSOLE" in line and "setting log level" not in line
    ]
    return done.stdout, said


@pytest.mark.parametrize("name", ["smoke", "<script>alert(1)</script>$$x$$"])
def test_every_chart_is_drawn_without_a_word_in_the_console(
    make_run: Callable[..., Any], good_result: dict[str, Any], tmp_path: Path, name: str
) -> None:
    good_result["scenario"]["name"] = name
    good_result["stages"][2]["name"] = name
    document, console = browse(write_html(make_run(good_result)), tmp_path / "profile")
    assert console == []
    drawn = re.search(r'<html[^>]* data-charts="(\d+)"', document)
    assert drawn is not None
    assert drawn[1] == "6"
