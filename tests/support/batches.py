"""Batches, and the results that the app stores for them."""

import hashlib
import json

from shared.app import App


def batch(value: float = 1.0) -> bytes:
    """The content of a batch with three equal readings."""
    return json.dumps({"records": [{"timestamp": "2026-01-01T00:00:00Z", "data": {"co2": value}}] * 3}).encode()


def digest(content: bytes) -> str:
    """SHA-1 in hex."""
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


def batch_key(number: int) -> bytes:
    """The key of batch `b{number}`."""
    return f"fastapi:temp:data:b{number}".encode()


async def digests(app: App, count: int) -> list[str | None]:
    """The digests in the results of batches `b0` to `b{count - 1}`, None for a batch without a result."""
    results = await app.redis.mget([f"fastapi:results:analysis:b{number}" for number in range(count)])
    return [json.loads(result)["inputDigest"] if result else None for result in results]
