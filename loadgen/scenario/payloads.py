"""Checks of payload files, and of what RabbitMQ makes of wills."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from loadgen.scenario.explain import Finding
from loadgen.scenario.publishing import HEADER_SIZE, MAX_PAYLOAD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadgen.scenario.document import Place
    from loadgen.scenario.parts import Parts
    from loadgen.scenario.publishing import Payload


def check_payloads(parts: Parts) -> Iterator[Finding]:
    """Check that payload files can be read, and tell what RabbitMQ does not do with wills."""
    for name, group in parts.groups.items():
        if group is None:
            continue
        for index, publish in enumerate(group.publish):
            yield from _check_file(("groups", name, "publish", index, "payload"), publish.payload)
        if group.will is None:
            continue
        yield from _check_file(("groups", name, "will", "payload"), group.will.payload)
        if group.will.retain and group.will.delay:
            yield Finding(
                ("groups", name, "will"),
                "RabbitMQ does not retain a will that is delayed",
                "remove retain or delay",
                warning=True,
            )
        if group.will.delay and not group.session.expiry:
            yield Finding(
                ("groups", name, "will", "delay"),
                "a will is delayed no longer than the session is kept, and this one ends with the connection",
                "add session: {expiry: 5m}, or remove delay",
                warning=True,
            )


def _check_file(place: Place, payload: Payload) -> Iterator[Finding]:
    if payload.file is None:
        return
    path = Path(payload.file)
    if not path.is_file() or not os.access(path, os.R_OK):
        what = f"the payload file {path} {'cannot be read' if path.exists() else 'is not there'}"
        yield Finding((*place, "file"), what, "paths are relative to the working directory")
    elif path.stat().st_size > MAX_PAYLOAD - HEADER_SIZE:
        yield Finding((*place, "file"), "is more than an MQTT packet can hold", "use a file below 256 MB")
