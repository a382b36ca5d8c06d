"""Classification of Redis' error replies."""

from redis.exceptions import ResponseError

from shared.app import App
from shared.store.refusals import is_wrong_type


async def test_only_a_wrong_type_error_is_recognised_as_one(app: App) -> None:
    await app.redis.set("string", "x")
    pipeline = app.redis.pipeline(transaction=False)
    pipeline.lpush("string", "x")
    pipeline.incr("string")
    pipeline.get("string")
    wrong_type, not_a_number, value = await pipeline.execute(raise_on_error=False)
    assert isinstance(not_a_number, ResponseError)
    assert [is_wrong_type(reply) for reply in (wrong_type, not_a_number, value, b"WRONGTYPE")] == [
        True,
        False,
        False,
        False,
    ]
