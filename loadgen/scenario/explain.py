"""Pydantic's errors in the reader's words: what is wrong in the file, and how to mend it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from loadgen.scenario.base import MALFORMED
from loadgen.scenario.schema import cached_schema, properties_at
from loadgen.scenario.suggest import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic_core import ErrorDetails

    from loadgen.scenario.document import Document, Place
    from loadgen.scenario.schema import Schema


class Finding(NamedTuple):
    """Something wrong at a place in the data."""

    place: Place
    what: str
    mend: str
    warning: bool = False


def locate(data: object, loc: Sequence[str | int]) -> Place:
    """Translate a place in the models to the place in the file's data.

    They differ where the file may give one mapping for a list of one, and where it gives a mapping for
    a list of pairs.
    """
    place: list[str | int] = []
    steps = [step for step in loc if step != "[key]"]
    while steps:
        step = steps.pop(0)
        if isinstance(data, dict) and isinstance(step, int):
            if steps and isinstance(steps[0], int) and step < len(data):
                steps.pop(0)
                step = list(data)[step]
            else:
                continue
        if isinstance(data, dict):
            if step not in data:
                return (*place, step)
            data = data[step]
        elif isinstance(data, list) and isinstance(step, int) and step < len(data):
            data = data[step]
        else:
            return tuple(place)
        place.append(step)
    return tuple(place)


def explain(errors: Sequence[ErrorDetails], document: Document) -> list[Finding]:
    """Turn pydantic's errors into findings, one each."""
    schema = cached_schema()
    return [_explain(error, document, schema) for error in errors if not follows(error)]


def follows(error: ErrorDetails) -> bool:
    """Tell whether an error only follows from others: pydantic counts wrong entries as missing ones."""
    return error["type"] == "too_short" and bool(error["input"])


def _explain(error: ErrorDetails, document: Document, schema: Schema) -> Finding:
    place = locate(document.data, error["loc"])
    context = error.get("ctx", {})
    kind = error["type"]
    if kind == MALFORMED:
        return Finding(place, context["what"], context["mend"])
    if kind == "extra_forbidden":
        return Finding(place, f'unknown key "{place[-1]}"', _known(str(place[-1]), schema, place[:-1]))
    if kind == "missing":
        key = str(error["loc"][-1])
        about = properties_at(schema, place[:-1]).get(key, {}).get("description", "")
        sentence = about.split(". ")[0].split(".\n")[0].rstrip(".").replace("\n", " ")
        return Finding(place[:-1], f'"{key}" is missing', f"add {key}: {sentence[:1].lower()}{sentence[1:]}")
    value = error["input"]
    shown = _shown(value) if isinstance(value, str | None) else document.texts.get(place, _shown(value))
    what, mend = _wrong_value(kind, shown, context, error)
    return Finding(place, what, mend)


def _known(key: str, schema: Schema, place: Place) -> str:
    """Name the nearest key of this place, or where else a key of that name belongs, or all keys."""
    known = list(properties_at(schema, place))
    close = nearest(key, known)
    return f'did you mean "{close}"?' if close else f"known here: {', '.join(known)}"


_LOGIN = re.compile(r"[^/\s]*@")
_MUST_BE = {
    "int_type": ("a whole number", "write for example 10, without quotes and unit"),
    "bool_type": ("true or false", "write true or false, without quotes"),
    "model_type": ("a mapping", "write key: value lines, or {key: value}"),
    "dict_type": ("a mapping", "write key: value lines, or {key: value}"),
    "tuple_type": ("a list", "write [one, two], or a line with - for each"),
}
_BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}


def _wrong_value(kind: str, shown: str, context: dict[str, object], error: ErrorDetails) -> tuple[str, str]:
    what, mend = error["msg"], "see the reference of the scenario format"
    if kind in _MUST_BE:
        must, mend = _MUST_BE[kind]
        what = f"must be {must}, not {shown}"
    elif kind in _BOUNDS:
        words, name = _BOUNDS[kind]
        what, mend = f"must be {words} {context[name]}, not {shown}", "write a number in the range"
    elif kind == "string_type":
        what, mend = _no_text(error["input"], shown)
    elif kind == "literal_error":
        expected = str(context["expected"]).replace("'", '"')
        close = nearest(
            str(error["input"]), [word.strip('"') for word in expected.replace(" or ", ", ").split(", ")]
        )
        what = f"must be {expected}, not {shown}"
        mend = f'did you mean "{close}"?' if close else "write one of them"
    elif kind == "string_pattern_mismatch":
        what = f'"{error["input"]}" is not a name'
        mend = "use at most 64 letters, digits, - and _, and begin with a letter or digit"
    elif kind == "too_short":
        what, mend = "must not be empty", "add at least one entry"
    elif kind == "too_long":
        what, mend = f"has more than {context['max_length']} entries", "remove the others"
    return what, mend


def _no_text(value: object, shown: str) -> tuple[str, str]:
    if isinstance(value, dict) and list(value.values()) == [None]:
        return "a text that begins with { needs quotes", f'write "{{{next(iter(value))}}}"'
    if isinstance(value, dict | list) or value is None:
        return f"must be text, not {shown}", "write text"
    return f"must be text, not {shown}", f'put it in quotes: "{shown}"'


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    # An address in the wrong place may hold a password.
    text = f'"{_LOGIN.sub("…@", value)}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
