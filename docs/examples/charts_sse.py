"""Pushes chart updates to browsers: one route of FastAPI that turns the app's messages into server-sent events.

uvicorn charts_sse:app            new EventSource("/charts/co2-flow/realtime/events").onmessage = redraw
"""

import json
import os
from collections.abc import AsyncIterator

from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from redis.asyncio import Redis

app = FastAPI()
redis = Redis.from_url(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379"))


@app.get("/charts/{chart_id}/{data_type}/events")
async def events(request: Request, chart_id: str, data_type: str) -> StreamingResponse:
    async def stream() -> AsyncIterator[str]:
        async with redis.pubsub() as messages:
            await messages.subscribe("fabric:events:chart")
            yield "retry: 2000\n\n"  # after a lost connection the browser comes back, and draws what is there
            while not await request.is_disconnected():
                message = await messages.get_message(ignore_subscribe_messages=True, timeout=15)
                update = json.loads(message["data"]) if message else None
                if update is None:
                    yield ": still here\n\n"
                elif (update["chartId"], update["dataType"]) == (chart_id, data_type):
                    yield f"id: {update['sourceDigest']}\ndata: {json.dumps(update)}\n\n"

    return StreamingResponse(stream(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})
