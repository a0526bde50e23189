"""What this machine can carry: descriptors, ports, memory, cores."""

from __future__ import annotations

import contextlib
import os
import resource
from pathlib import Path

from loadgen.plan.needs import Machine

_UNKNOWN_PORTS = 28_232  # Linux's default range, 32768..60999


def this_machine() -> Machine:
    """Read this machine's limits; what cannot be read is taken as the usual default."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Machine(
        cores=available_cores(),
        descriptors=hard if hard != resource.RLIM_INFINITY else 1 << 20,
        ports=_ports(),
        memory=_memory(),
    )


def raise_descriptor_limit() -> None:
    """Lift the soft limit on open files to the hard one; a process may always do that for itself."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS names a hard limit that it does not allow.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def available_cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _ports() -> int:
    try:
        low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return _UNKNOWN_PORTS
    return int(high) - int(low) + 1


def _memory() -> int:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 1 << 33
