"""Checks of payload files, and of what brokers make of wills and options."""

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


def check_embedded(parts: Parts) -> Iterator[Finding]:
    """Check that nothing is asked of the embedded broker that it does not have."""
    if not parts.embedded:
        return
    for name, group in parts.groups.items():
        if group is None:
            continue
        place = ("groups", name)
        for index, publish in enumerate(group.publish):
            if publish.retain:
                yield _embedded_lacks((*place, "publish", index, "retain"), "retained messages")
        if group.will is not None and group.will.retain:
            yield _embedded_lacks((*place, "will", "retain"), "retained messages")
        for index, subscribe in enumerate(group.subscribe):
            if subscribe.no_local:
                yield _embedded_lacks((*place, "subscribe", index, "no_local"), "no-local subscriptions")
            if subscribe.subscription_identifier is not None:
                yield _embedded_lacks(
                    (*place, "subscribe", index, "subscription_identifier"), "subscription identifiers"
                )


def _embedded_lacks(place: Place, what: str) -> Finding:
    return Finding(place, f"the embedded broker has no {what}", "remove it, or run against RabbitMQ")


def _check_file(place: Place, payload: Payload) -> Iterator[Finding]:
    if payload.file is None:
        return
    path = Path(payload.file)
    if not path.is_file() or not os.access(path, os.R_OK):
        what = f"the payload file {path} {'cannot be read' if path.exists() else 'is not there'}"
        yield Finding((*place, "file"), what, "paths are relative to the working directory")
    elif path.stat().st_size > MAX_PAYLOAD - HEADER_SIZE:
        yield Finding((*place, "file"), "is more than an MQTT packet can hold", "use a file below 256 MB")
