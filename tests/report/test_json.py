from __future__ import annotations

import json
from typing import Any

import pytest

from loadgen.report.json import render


def test_what_is_written_reads_back(good_result: dict[str, Any]) -> None:
    assert json.loads(render(good_result)) == good_result


def test_a_figure_that_json_cannot_say_is_refused(good_result: dict[str, Any]) -> None:
    good_result["duration"] = float("nan")
    with pytest.raises(ValueError, match="not JSON compliant"):
        render(good_result)
