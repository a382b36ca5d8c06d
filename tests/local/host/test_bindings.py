"""A binding that the host refuses is refused with the host's reason."""

import pytest

from local.host.bindings import BindingError, Function, checked_trigger, resolve

COMPLETE = {
    "redisPubSubTrigger": {"connection": "Redis", "channel": "c", "pattern": True},
    "redisStreamTrigger": {"connection": "Redis", "key": "k", "pollingIntervalInMs": 1000, "maxBatchSize": 16},
    "redisListTrigger": {
        "connection": "Redis",
        "key": "k",
        "pollingIntervalInMs": 1000,
        "maxBatchSize": 16,
        "listDirection": "LEFT",
    },
    "timerTrigger": {"schedule": "0 * * * * *"},
}
SETTINGS = {"Redis": "127.0.0.1:6379", "CHANNEL": "from the setting", "EMPTY": ""}


def trigger(kind, *other_bindings, **properties):
    binding = {"direction": "IN", "type": kind, "name": "message", **properties}
    return Function("f", "id", (binding, *other_bindings))


@pytest.mark.parametrize(("kind", "missing"), [(kind, name) for kind in COMPLETE for name in COMPLETE[kind]])
def test_a_missing_constructor_property_is_refused_with_the_hosts_reason(kind, missing):
    properties = {name: value for name, value in COMPLETE[kind].items() if name != missing}
    with pytest.raises(BindingError) as error:
        checked_trigger(trigger(kind, **properties), SETTINGS)
    assert str(error.value) == f"Can't figure out which ctor to call. {kind} lacks {missing}"


@pytest.mark.parametrize("kind", ["redisPubSubTrigger", "timerTrigger"])
def test_a_complete_binding_is_accepted_unchanged(kind):
    function = trigger(kind, **COMPLETE[kind])
    assert checked_trigger(function, SETTINGS) == function.trigger


@pytest.mark.parametrize("kind", ["redisStreamTrigger", "redisListTrigger"])
def test_a_polling_trigger_is_refused_with_the_triggers_that_run(kind):
    with pytest.raises(
        BindingError, match=r"redis.* real host; the local host runs redisPubSubTrigger, timerTrigger, httpTrigger"
    ):
        checked_trigger(trigger(kind, **COMPLETE[kind]), SETTINGS)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (trigger("blobTrigger", path="x"), "unknown trigger type 'blobTrigger'"),
        (Function("f", "id", ({"direction": "OUT", "type": "http", "name": "$return"},)), "has no trigger"),
        (trigger("redisPubSubTrigger", connection="Redis", channel="c", pattern="yes"), "pattern must be"),
        (trigger("redisPubSubTrigger", connection="Redis", channel="", pattern=True), "channel must be"),
        (trigger("redisPubSubTrigger", connection="None", channel="c", pattern=True), "setting 'None' is missing"),
        (
            trigger("redisPubSubTrigger", connection="EMPTY", channel="c", pattern=True),
            "setting 'EMPTY' is missing or empty",
        ),
        (trigger("redisPubSubTrigger", connection="Redis", channel="%NO%", pattern=True), "'%NO%' does not resolve"),
        (
            trigger("timerTrigger", {"direction": "OUT", "type": "queue", "name": "out"}, schedule="0 * * * * *"),
            "'out' of type 'queue' needs the real host",
        ),
    ],
)
def test_a_binding_that_cannot_run_is_refused_with_the_reason(function, reason):
    with pytest.raises(BindingError, match=reason):
        checked_trigger(function, SETTINGS)


@pytest.mark.parametrize(
    ("text", "resolved"),
    [
        ("%CHANNEL%", "from the setting"),
        ("%EMPTY%", ""),
        ("%CHANNEL%:*", "%CHANNEL%:*"),
        ("%%", "%%"),
        ("CHANNEL", "CHANNEL"),
        (5, 5),
    ],
)
def test_an_app_setting_is_resolved_if_it_is_the_whole_text(text, resolved):
    assert resolve(text, SETTINGS) == resolved
