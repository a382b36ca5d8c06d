"""The identity of an instance: that of the host, because each message goes to one of its worker processes."""

import os
import platform
from typing import NamedTuple


class Identity(NamedTuple):
    """`shared` tells whether other worker processes of the host have the same `name`."""

    name: str
    shared: bool


def identity() -> Identity:
    """The identity of this process' host: the machine and a process id. With several worker processes
    (FUNCTIONS_WORKER_PROCESS_COUNT) it is that of the host, their parent."""
    machine = os.environ.get("WEBSITE_INSTANCE_ID", "")[:12] or platform.node() or "unknown"
    count = os.environ.get("FUNCTIONS_WORKER_PROCESS_COUNT", "")
    shared = count.isdecimal() and int(count) > 1
    return Identity(f"{machine}-{os.getppid() if shared else os.getpid()}", shared)
