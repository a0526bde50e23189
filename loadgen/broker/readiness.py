"""Whether a node serves: asked over its own management API, which is cheaper than an Erlang tool."""

from __future__ import annotations

import base64
import http.client
import json
from typing import TYPE_CHECKING, Any

from loadgen.broker.conf import MANAGEMENT_USER
from loadgen.broker.ports import accepts

if TYPE_CHECKING:
    from loadgen.broker.state import NodeState


def serves(node: NodeState, members: int, password: str) -> bool:
    """Tell whether a node listens for MQTT and sees the whole cluster running.

    Args:
        node: The node to ask.
        members: How many nodes it must see running; 0 asks only whether it listens.
        password: Of the management user.
    """
    if not accepts(node.address, node.mqtt_port):
        return False
    if not members:
        return True
    if not sees(node, members, password):
        return False
    listener = _get(node, f"/api/health/checks/port-listener/{node.mqtt_port}", password)
    return isinstance(listener, dict) and listener.get("status") == "ok"


def sees(node: NodeState, members: int, password: str) -> bool:
    """Tell whether a node sees so many nodes of the cluster running, itself among them."""
    nodes = _get(node, "/api/nodes?columns=name,running", password)
    return isinstance(nodes, list) and sum(bool(entry.get("running")) for entry in nodes) >= members


def _get(node: NodeState, path: str, password: str) -> Any:  # noqa: ANN401 - JSON
    token = base64.b64encode(f"{MANAGEMENT_USER}:{password}".encode()).decode()
    connection = http.client.HTTPConnection(node.address, node.management_port, timeout=5)
    try:
        connection.request("GET", path, headers={"Authorization": f"Basic {token}"})
        with connection.getresponse() as response:
            return json.loads(response.read()) if response.status == http.client.OK else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
