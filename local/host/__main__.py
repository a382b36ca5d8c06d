"""`python -m local.host --app-dir DIR`: runs one function app until SIGINT or SIGTERM.

Prints `ready URL` once the app's triggers are live.
"""

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

from local.host import event_loop
from local.host.faults import Fault, Faults, parse_fault
from local.host.host import Host, HostStartError
from local.host.overhead import parse_duration
from local.host.worker_processes import LOG_FORMAT


async def _serve(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    host = Host(
        options.app_dir,
        http_port=options.port,
        invocation_overhead_s=options.invocation_overhead,
        faults=Faults(options.fault),
        locks=options.locks,
        workers=options.workers,
    )
    async with host:
        print(f"ready {host.url}", flush=True)
        await stop.wait()


def main() -> int:
    """Run one app until a signal. Returns the exit code: 0 after a signal, 1 if the app cannot start."""
    parser = argparse.ArgumentParser(prog="python -m local.host", description="Run one function app.")
    parser.add_argument("--app-dir", type=Path, required=True, help="folder that contains function_app.py")
    parser.add_argument("--port", type=int, default=7071, help="HTTP port; 0 picks a free port (default: 7071)")
    parser.add_argument(
        "--invocation-overhead",
        type=parse_duration,
        default=0.0,
        metavar="TIME",
        help="time between two invocations of a Redis-triggered function, such as 0.65ms, the real host's (default: 0)",
    )
    parser.add_argument(
        "--fault",
        type=parse_fault,
        action="append",
        default=[],
        metavar="NAME[@SECONDS]",
        help="let the Redis trigger fail as the real one can, from SECONDS after the start, or from SIGUSR1 to SIGUSR2"
        f" (NAME@signal): {', '.join(Fault)}",
    )
    parser.add_argument(
        "--locks", type=Path, metavar="DIR", help="folder in which several hosts share the locks of their timers"
    )
    parser.add_argument(
        "--workers",
        type=int,
        choices=range(1, 11),
        metavar="N",
        help="worker processes, of which each message goes to one (FUNCTIONS_WORKER_PROCESS_COUNT); by default the app"
        " runs in the host's own process",
    )
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format=LOG_FORMAT)
    try:
        event_loop.run(_serve(options))
    except HostStartError as error:
        print(f"The host cannot start: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
