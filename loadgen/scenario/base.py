"""What every part of the scenario model shares: strictness, names, and errors that carry a mend."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
"""Names of groups, identity sets and stages: no dots, so that `--set groups.NAME.clients=5` is clear."""

Name = Annotated[str, Field(strict=True, pattern=NAME_PATTERN)]
Text = Annotated[str, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Whole = Annotated[int, Field(strict=True, ge=0)]
"""A whole number of at least 0; `true`, `5.0` and `"5"` are refused."""
Positive = Annotated[int, Field(strict=True, ge=1)]
"""A whole number of at least 1."""


class Strict(BaseModel):
    """Base of every scenario model: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


MALFORMED = "loadgen_malformed"
"""The pydantic error type of our own refusals; their context holds `what` and `mend`."""


def malformed(what: str, mend: str = "") -> PydanticCustomError:
    """Make the error that a validator raises: what is wrong, and how to write it instead."""
    return PydanticCustomError(MALFORMED, "{what}", {"what": what, "mend": mend})


def one_or_many(value: object) -> object:
    """Let a single mapping or text stand for a list of one."""
    return [value] if isinstance(value, dict | str | BaseModel) else value
