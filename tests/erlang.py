"""Asks a running node in its own language; `erl_call` takes 50 ms, where rabbitmqctl boots for seconds."""

from __future__ import annotations

import base64
import re
import subprocess
from typing import TYPE_CHECKING

from loadgen.broker import launch

if TYPE_CHECKING:
    from loadgen.broker.cluster import LocalCluster


def evaluate(cluster: LocalCluster, expressions: str, node: int = 0) -> str:
    """The value of Erlang expressions (without the dot at the end) on a node, as Erlang writes it."""
    state = cluster.load()
    # In Base64, so that no quoting of the tool's own is in the way.
    text = f'io_lib:format("~0tp", [begin {expressions} end])'
    form = f"binary_to_list(base64:encode(unicode:characters_to_binary({text}))).\n"
    done = subprocess.run(
        state.install.command(cluster.directory, "erl_call", "-sname", state.nodes[node].full_name, "-e"),
        input=form,
        env=launch.cli_environment(cluster.directory, state),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    value = re.fullmatch(r'\{ok, "([A-Za-z0-9+/=]*)"\}\s*', done.stdout)
    assert value, f"{expressions}: {done.stdout}{done.stderr}"
    return base64.b64decode(value[1]).decode()
