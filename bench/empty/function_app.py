"""A function that does nothing, on the batches' channel: what the invocations alone cost."""

import azure.functions as func

app = func.FunctionApp()


@app.function_name("batches")
@app.generic_trigger(
    arg_name="message",
    type="redisPubSubTrigger",
    connection="Redis",
    channel="__keyspace@0__:fastapi:temp:data:*",
    pattern=True,
)
async def batches(message: str) -> None:
    pass
