"""HTTP as a source speaks it, with little beside its content. Imported with aiohttp, by the first request."""

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiohttp import TCPConnector

MAX_BESIDE_BYTES = 64 * 1024
"""What an answer may have beside its content: status, headers, interim responses."""
MAX_PER_BYTE = 4
"""How many bytes each byte of content may take: a chunk of one byte takes six."""
_PIECE_BYTES = 16 * 1024


def bound(connector: "TCPConnector") -> "TCPConnector":
    """The connector; its connections end where a source sends much beside its content: interim responses
    (`100 Continue`), tiny chunks, extensions of chunks.

    aiohttp bounds none of these. uvloop hands over 256 KB at a time, and up to 32 times before anything else runs:
    300,000 interim responses, for which the event loop stands still for 5 s.
    """
    from aiohttp.client_proto import ResponseHandler

    class Bounded(ResponseHandler):
        _received_bytes = 0

        def set_response_params(self, **parameters: Any) -> None:
            """A request is sent."""
            self._received_bytes = 0
            super().set_response_params(**parameters)

        def data_received(self, data: bytes) -> None:
            while True:
                # Content is not cut: aiohttp stops parsing it when enough waits to be read.
                size = len(data) if self._payload else _PIECE_BYTES
                piece, data = data[:size], data[size:]
                super().data_received(piece)  # also without any: parse what waits
                self._received_bytes += len(piece)
                content_bytes = self._payload.total_bytes if self._payload else 0
                if self._received_bytes > MAX_BESIDE_BYTES + MAX_PER_BYTE * content_bytes:
                    self.abort()
                    return
                if not data:
                    return

    connector._factory = partial(Bounded, loop=asyncio.get_running_loop())  # type: ignore[assignment]  # no public way
    return connector
