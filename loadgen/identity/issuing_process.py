"""What an issuing process does: a line of requests in, a line of what was issued out; see issuing.py."""

from __future__ import annotations

import json
import sys
from dataclasses import astuple, dataclass
from pathlib import Path

from loadgen.errors import ConfigError
from loadgen.identity.authority import Authority
from loadgen.identity.manifest import entry_of
from loadgen.identity.request import ClientRequest


@dataclass(frozen=True, slots=True)
class _Given:
    """A password that came through the pipe."""

    password: str

    def reveal(self) -> str:
        return self.password


def main() -> None:
    """Issue until the pipe ends."""
    setup = json.loads(sys.stdin.readline())
    passwords = (setup["ca_password"], setup["key_password"])
    ca_password, key_password = (None if each is None else _Given(each) for each in passwords)
    home, intermediates, slot = Path(setup["ca"]), int(setup["intermediates"]), int(setup["slot"])
    try:
        authority = Authority.open(home, intermediates=intermediates, password=ca_password)
        authority = authority.into(Path(setup["directory"]), slot)
        for line in sys.stdin:
            requests = [ClientRequest.from_asked(asked) for asked in json.loads(line)]
            issued = [
                entry_of(authority.issue_client(request, key_password), request) for request in requests
            ]
            _answer({"issued": [entry.row() for entry in issued]})
    except ConfigError as error:
        _answer({"problems": [astuple(problem) for problem in error.problems]})


def _answer(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
