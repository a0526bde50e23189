"""The result as JSON for standard output and other programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def render(result: Mapping[str, Any], *, indent: int | None = 2) -> str:
    """Write a result as JSON text, keys in the documented order (docs/result.md).

    Raises:
        ValueError: A figure is NaN or infinite, which JSON cannot say and no reader expects.
    """
    return json.dumps(result, indent=indent, ensure_ascii=False, allow_nan=False)
