"""Load a scenario: read the file, apply what the command line changes, tell all problems at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from loadgen.errors import ConfigError, Problem
from loadgen.scenario.certificate_checks import check_certificates
from loadgen.scenario.clients import check_client_ids, check_common_names
from loadgen.scenario.document import Document, Origin, read_document
from loadgen.scenario.drift_checks import check_drift
from loadgen.scenario.explain import Finding, explain, locate
from loadgen.scenario.failover_checks import LONG_DRAIN, check_failover, waits_for_redelivery
from loadgen.scenario.fault_checks import check_faults
from loadgen.scenario.model import Scenario
from loadgen.scenario.overrides import apply_override
from loadgen.scenario.parts import Parts, parts_of, salvage
from loadgen.scenario.payloads import check_embedded, check_payloads
from loadgen.scenario.references import check_references, check_stages
from loadgen.scenario.stages import Stage
from loadgen.scenario.topics import check_topics

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

DEFAULT_DRAIN = "10s"
"""Length of the drain stage that is added where messages are delivered and the file has none."""


def load_scenario(
    path: Path,
    *,
    overrides: Sequence[str] = (),
    target: Path | None = None,
    embedded: bool = False,
    metrics: Mapping[str, str] | None = None,
    selectors: Mapping[str, Collection[str]] | None = None,
) -> Scenario:
    """Load and check a scenario file.

    Args:
        path: the YAML file.
        overrides: `key.path=value` each, applied in order after the target was replaced.
        target: a YAML file whose content replaces the `target:` section.
        embedded: replace the `target:` section by `{kind: embedded}`.
        metrics: metrics that thresholds may name, with their kinds `duration`, `count` or `rate`;
            without it only the grammar of thresholds is checked.
        selectors: what each of those metrics can be selected by; anything when left out.

    Returns:
        The scenario, with a drain stage added if messages would be delivered and none was given. Its
        `warnings` are what is allowed but probably not meant.

    Raises:
        ConfigError: every problem of the file and the overrides, each with file, line and mend.
    """
    document = read_document(path, "scenario")
    problems = _apply_command_line(document, overrides, target, embedded=embedded)
    scenario, findings = _validate(document, metrics, selectors)
    problems += document.problems
    problems += [_placed(finding, document) for finding in findings]
    problems.sort(key=lambda placed: (placed[0].source != str(path), placed[0].source, placed[0].line))
    told = [problem for _, problem in problems]
    if scenario is None or any(not problem.warning for problem in told):
        raise ConfigError(told)
    return _with_drain(scenario).with_origin(path, told)


def _apply_command_line(
    document: Document, overrides: Sequence[str], target: Path | None, *, embedded: bool
) -> list[tuple[Origin, Problem]]:
    """Apply target and overrides; give the problems of those that cannot be applied."""
    problems: list[tuple[Origin, Problem]] = []
    if target is not None and embedded:
        raise ConfigError("--target names both a file and the embedded broker", "choose one")
    if target is not None:
        replacement = read_document(target, "target")
        document.graft(("target",), _unwrapped(replacement))
    if embedded:
        origin = Origin("--target embedded", 0)
        document.graft(("target",), Document({"kind": "embedded"}, {(): origin}, {}))
    for override in overrides:
        try:
            apply_override(document, override)
        except ConfigError as error:
            problems += [(Origin(f"--set {override}", 0), problem) for problem in error.problems]
    return problems


def _unwrapped(document: Document) -> Document:
    """Take what is below `target:` when the file was cut out of a scenario with that key."""
    if not isinstance(document.data, dict) or list(document.data) != ["target"]:
        return document
    return Document(
        document.data["target"],
        {place[1:]: origin for place, origin in document.origins.items() if place},
        {place[1:]: text for place, text in document.texts.items() if place},
        document.problems,
    )


def _validate(
    document: Document,
    metrics: Mapping[str, str] | None,
    selectors: Mapping[str, Collection[str]] | None,
) -> tuple[Scenario | None, list[Finding]]:
    scenario: Scenario | None = None
    findings: list[Finding] = []
    try:
        scenario = Scenario.model_validate(document.data)
        parts = parts_of(scenario)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        findings = explain(errors, document)
        parts = salvage(document.data, errors)
    wrong = {finding.place for finding in findings}
    for finding in _check(parts, metrics, selectors):
        place = locate(document.data, finding.place)
        # What is wrong in itself was replaced by a stand-in, of which there is nothing to tell.
        if not any(place[:length] in wrong for length in range(1, len(place) + 1)):
            findings.append(finding)
    return scenario, findings


def _check(
    parts: Parts,
    metrics: Mapping[str, str] | None,
    selectors: Mapping[str, Collection[str]] | None,
) -> list[Finding]:
    return [
        *check_references(parts, metrics, selectors),
        *check_stages(parts),
        *check_faults(parts),
        *check_failover(parts),
        *check_certificates(parts),
        *check_drift(parts),
        *check_common_names(parts),
        *check_client_ids(parts),
        *check_topics(parts),
        *check_payloads(parts),
        *check_embedded(parts),
    ]


def _placed(finding: Finding, document: Document) -> tuple[Origin, Problem]:
    place = locate(document.data, finding.place)
    origin = document.origin(place)
    return origin, Problem(origin.at(place), finding.what, finding.mend, finding.warning)


def _with_drain(scenario: Scenario) -> Scenario:
    """Add a drain where the ledger needs one: without it, what is still on its way looks lost."""
    groups = scenario.groups.values()
    delivers = any(group.publish for group in groups) and any(group.subscribe for group in groups)
    names = {stage.name for stage in scenario.stages}
    if not delivers or any(stage.kind == "drain" for stage in scenario.stages):
        return scenario
    name = next(name for name in ("drain", "final-drain", "added-drain") if name not in names)
    late = waits_for_redelivery(scenario.faults, scenario.groups)
    drain = Stage.model_validate({"name": name, "drain": LONG_DRAIN if late else DEFAULT_DRAIN})
    return scenario.model_copy(update={"stages": (*scenario.stages, drain)})
