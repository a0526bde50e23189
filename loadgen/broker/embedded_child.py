"""The child process of the embedded broker: one rumqttd that ends when its parent ends.

Started by `EmbeddedBroker` as a script, `embedded_child.py CONFIG`, so it imports nothing of ours. It is
a process of its own because rumqttd has no way to stop, and because the broker must not share a signal, a
lock or a memory figure with the generator that measures it.
"""

from __future__ import annotations

import os
import resource
import sys
import threading

from iotcore import IotCoreBroker


def _end_with_parent() -> None:
    """Block on standard input, which the parent holds open, and end the process when it closes."""
    sys.stdin.buffer.read()
    os._exit(0)


def main(config: str) -> None:
    """Serve until killed or until standard input closes.

    Args:
        config: path of a rumqttd TOML file.
    """
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    IotCoreBroker(config_path=config).run_forever()


if __name__ == "__main__":
    main(sys.argv[1])
