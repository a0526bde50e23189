"""Certificates issued again while those of before are in use: same names, new keys, serials and dates."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from loadgen.identity import storage
from loadgen.identity.issuing import issue_many
from loadgen.identity.lifetime import BACKDATED_S, Moment
from loadgen.identity.names import file_stem
from loadgen.identity.prepare import requests_of

if TYPE_CHECKING:
    from pathlib import Path

    from loadgen.identity.authority import Authority
    from loadgen.identity.identity import Identity
    from loadgen.identity.specs import IssueSpec


def issue_again(
    set_name: str,
    spec: IssueSpec,
    count: int,
    into: Path,
    *,
    authority: Authority,
    not_after: float | None = None,
    later: int = 0,
) -> list[Identity]:
    """Issue the first `count` certificates of a set once more, into another folder; nothing is replaced.

    Args:
        set_name: name of the identity set.
        spec: what the scenario says of it.
        count: how many of it are needed.
        into: folder for the certificates and keys; made, with access for its owner only, when it isn't there.
        authority: who signs them: the set's CA, or another one.
        not_after: when they end, seconds since the epoch; as the set says when None.
        later: seconds by which their start is moved, so that dates alone tell them from those of before.

    Raises:
        ConfigError: files cannot be written.
    """
    into.mkdir(mode=0o700, parents=True, exist_ok=True)
    requests = []
    for request in requests_of(set_name, spec)[:count]:
        if not_after is not None:
            request = replace(request, not_after=Moment(not_after, relative=False))  # noqa: PLW2901
        if request.not_before is None:
            request = replace(request, not_before=Moment(later - BACKDATED_S))  # noqa: PLW2901
        requests.append(request)
    now = time.time()
    with storage.exclusive(into) as lock:
        entries = {
            entry.stem: entry
            for entry in issue_many(
                authority.into(into),
                requests,
                lock=lock,
                ca_password=spec.ca_password,
                key_password=spec.key_password,
            )
        }
    made = {
        request.cn: entries[stem].identity(str(into), request, now, spec.key_password)
        for request, stem in ((request, file_stem(request.cn)) for request in requests)
    }
    return [made[request.cn] for request in requests]
