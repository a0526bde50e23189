"""What a test does where something it needs is not there."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def unavailable(reason: str, variable: str = "LOADGEN_REQUIRE_RABBITMQ") -> NoReturn:
    """Skip, or fail where skipping is forbidden."""
    if os.environ.get(variable) == "1":
        pytest.fail(f"{variable}=1, but {reason}", pytrace=False)
    pytest.skip(reason)
