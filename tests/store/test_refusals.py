"""What Redis' error replies mean."""

from redis.exceptions import ResponseError

from shared.app import App
from shared.store.refusals import is_wrong_type


async def test_a_command_on_a_key_of_another_type_is_told_from_other_refusals(app: App) -> None:
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
