"""`--set a.b.c=value`: change one value of a scenario for one run."""

from __future__ import annotations

from loadgen.errors import ConfigError, Problem
from loadgen.scenario.document import Document, Origin, Place, parse_document
from loadgen.scenario.suggest import did_you_mean

_NAMED = {"groups", "identities"}
"""Sections whose keys are the reader's own names: a path through a name that is not there is a slip."""
_EXAMPLE = "write for example --set groups.sensors.clients=50"


def apply_override(document: Document, override: str) -> None:
    """Put the value of `key.path=value` into the document.

    Lists are entered by number, or by the name of the entry: `stages.steady.hold=10s`.

    Raises:
        ConfigError: no `=`, a path that leads nowhere, or a value that is no YAML.
    """
    key, equals, text = override.partition("=")
    key = key.strip()
    source = f"--set {key}"
    if not equals or not key:
        raise ConfigError([Problem(f"--set {override}", "is not KEY=VALUE", _EXAMPLE)])
    steps = key.split(".")
    place: Place = ()
    parent = document.data
    for depth, step in enumerate(steps[:-1]):
        place = (*place, _enter(parent, step, source, steps[: depth + 1]))
        parent = _child(document, place, parent, source)
    place = (*place, _enter(parent, steps[-1], source, steps, last=True))
    document.graft(place, _value(text.strip(), source))


def _enter(parent: object, step: str, source: str, steps: list[str], *, last: bool = False) -> str | int:
    """Give the key or index that a step of the path means in its parent."""
    if isinstance(parent, dict):
        if len(steps) == 2 and steps[0] in _NAMED and step not in parent and not last:
            what = f'there is no "{step}" in {steps[0]}'
            raise ConfigError([Problem(source, what, did_you_mean(step, parent))])
        return step
    assert isinstance(parent, list)
    names = [str(entry["name"]) for entry in parent if isinstance(entry, dict) and "name" in entry]
    for index, entry in enumerate(parent):
        if step == str(index) or (isinstance(entry, dict) and str(entry.get("name")) == step):
            return index
    mend = did_you_mean(step, names) or f"write a number from 0 to {len(parent) - 1}"
    raise ConfigError([Problem(source, f'there is no "{step}" in {".".join(steps[:-1])}', mend)])


def _child(document: Document, place: Place, parent: object, source: str) -> object:
    """Give what is at a place; a section that is not there yet is made."""
    child = _get(parent, place[-1])
    if child is None:
        document.graft(place, Document({}, {(): Origin(source, 0)}, {}))
        return _get(parent, place[-1])
    if not isinstance(child, dict | list):
        dotted = ".".join(str(step) for step in place)
        raise ConfigError([Problem(source, f"{dotted} is a value and has nothing below it", _EXAMPLE)])
    return child


def _get(parent: object, key: str | int) -> object:
    if isinstance(parent, list) and isinstance(key, int):
        return parent[key]
    return parent.get(key) if isinstance(parent, dict) else None


def _value(text: str, source: str) -> Document:
    """Parse the value as YAML, except that a template need not be quoted once more for YAML."""
    try:
        parsed = parse_document(text, source, lines=False)
    except ConfigError:
        if not text.startswith("{"):
            raise
        return Document(text, {(): Origin(source, 0)}, {(): text})
    if isinstance(parsed.data, dict) and parsed.data and all(value is None for value in parsed.data.values()):
        return Document(text, {(): Origin(source, 0)}, {(): text})
    return parsed
