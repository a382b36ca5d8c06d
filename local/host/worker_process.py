"""`python -m local.host.worker_process APP_DIR DESCRIPTOR`: one worker process of a host with several.

worker_processes.py starts it and describes what travels over the socket DESCRIPTOR.
"""

import asyncio
import logging
import os
import socket
import sys
from pathlib import Path

from local.host import event_loop
from local.host.bindings import Function
from local.host.worker import AppLoadError, Datum, Worker
from local.host.worker_processes import LOG_FORMAT, receive, send


async def _serve(app_dir: Path, descriptor: int) -> None:
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=descriptor))
    worker = Worker(app_dir)
    try:
        functions = await worker.start()
    except AppLoadError as error:
        send(writer, error)
        await writer.drain()
        return
    by_name = {function.name: function for function in functions}
    send(writer, functions)

    async def invoke(number: int, function: Function, parameter: str, datum: Datum) -> None:
        send(writer, (number, await worker.invoke(function, parameter, datum)))

    running = set()
    while True:
        number, name, parameter, datum = await receive(reader)
        task = asyncio.create_task(invoke(number, by_name[name], parameter, datum))
        running.add(task)
        task.add_done_callback(running.discard)


def main() -> None:
    app_dir, descriptor = sys.argv[1:]
    logging.basicConfig(level=logging.WARNING, format=LOG_FORMAT)
    try:
        event_loop.run(_serve(Path(app_dir), int(descriptor)))
    except (asyncio.IncompleteReadError, OSError):  # the host has ended
        os._exit(0)


if __name__ == "__main__":
    main()
