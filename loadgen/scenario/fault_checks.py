"""Checks of faults against stages, sessions and target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadgen.scenario.explain import Finding
from loadgen.scenario.suggest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadgen.scenario.parts import Parts


def check_faults(parts: Parts) -> Iterator[Finding]:
    """Check that faults have names of their own and happen in stages that exist."""
    stages = {stage.name: stage for stage in parts.stages if stage is not None}
    seen: set[str] = set()
    for index, fault in enumerate(parts.faults):
        if fault is None:
            continue
        if fault.name in seen:
            what = f'another fault is named "{fault.name}"'
            yield Finding(("faults", index, "name"), what, "use another name")
        seen.add(fault.name)
        if fault.at.stage not in stages and None not in parts.stages:
            what = f'there is no stage "{fault.at.stage}"'
            yield Finding(("faults", index, "at"), what, did_you_mean(fault.at.stage, stages))
