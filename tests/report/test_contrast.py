"""Contrast of the page in both palettes, by the formula of WCAG 2.2."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from loadgen.report.plots import DARK, LIGHT

TEXT, GRAPHIC = 4.5, 3.0
"""Smallest ratios of success criteria 1.4.3 and 1.4.11."""
CSS = resources.files("loadgen.report").joinpath("templates", "report.css").read_text(encoding="utf-8")


def variables(block: str) -> dict[str, str]:
    """The colours that a block of the style sheet sets."""
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-fA-F]{6})", block))


def blocks() -> dict[str, dict[str, str]]:
    """The colours by theme; the dark ones stand there twice, for the system's choice and the reader's."""
    light = variables(CSS[CSS.index(":root {") : CSS.index("}")])
    by_system = CSS[CSS.index(':root:not([data-theme="light"]) {') :]
    by_reader = CSS[CSS.index(':root[data-theme="dark"] {') :]
    system, reader = (variables(part[: part.index("}")]) for part in (by_system, by_reader))
    assert system == reader
    return {"light": light, "dark": light | system}


THEMES = blocks()
PALETTES = {"light": LIGHT, "dark": DARK}


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def ratio(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_formula() -> None:
    assert ratio("#000000", "#ffffff") == pytest.approx(21)
    assert ratio("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(
    ("ink", "paper"),
    [
        *((ink, paper) for ink in ("ink", "soft", "link") for paper in ("page", "card", "band")),
        *((tone, "card") for tone in ("pass", "fail", "invalid")),
        *((tone, f"{tone}-back") for tone in ("pass", "fail", "invalid")),
        ("soft", "fail-back"),  # the meaning of a ledger's cell
        ("fail", "band"),  # the generator's health beside the verdict
    ],
)
def test_text_is_legible(theme: str, ink: str, paper: str) -> None:
    colours = THEMES[theme]
    assert ratio(colours[ink], colours[paper]) >= TEXT


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("line", [name for name in LIGHT if name != "band"])
def test_lines_stand_out(theme: str, line: str) -> None:
    assert ratio(PALETTES[theme][line], THEMES[theme]["card"]) >= GRAPHIC


@pytest.mark.parametrize("theme", THEMES)
def test_canvas_and_page_have_the_same_colours(theme: str) -> None:
    # Lines are painted by bokeh, their keys by the style sheet.
    for name in ("blue", "orange", "green", "pink", "grey"):
        assert THEMES[theme][name] == PALETTES[theme][name]
    assert THEMES[theme]["fail"].lower() == PALETTES[theme]["fault"].lower()
    assert THEMES[theme]["pass"].lower() == PALETTES[theme]["good"].lower()
