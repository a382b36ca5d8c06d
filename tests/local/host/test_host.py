"""Start and stop of the host: the app is loaded, faults are reported, and the process is left as it was."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from local.host.host import Host, HostStartError
from local.repo.bootstrap import ROOT

RECORDER = """
received = []

@on("jobs")
async def record(message: str) -> None:
    received.append(message)
"""


async def test_a_function_in_error_is_reported_with_the_hosts_reason_while_the_others_run(
    make_app, redis_client, loaded
):
    folder = make_app(
        RECORDER
        + """
@app.generic_trigger(arg_name="message", type="redisPubSubTrigger", connection="Redis", channel="no pattern")
async def incomplete(message: str) -> None: ...

@app.generic_trigger(arg_name="message", type="redisPubSubTrigger", connection="Bad", channel="c", pattern=True)
async def misconnected(message: str) -> None: ...
""",
        files={"local.settings.json": '{"Values": {"Bad": "localhost:6379,colour=blue"}}'},
    )
    async with Host(folder, http_port=0) as host:
        assert [function.name for function in host.functions] == ["record", "incomplete", "misconnected"]
        assert host.errors == {
            "incomplete": "Can't figure out which ctor to call. redisPubSubTrigger lacks pattern",
            "misconnected": "Redis: unknown option 'colour'",
        }
        await redis_client.publish("jobs", "1")
        await redis_client.publish("no pattern", "1")
        await host.drained()
        assert len(loaded().received) == 1


@pytest.mark.parametrize("name", ["AzureWebJobs.record.Disabled", "AzureWebJobs__Record__Disabled"])
async def test_a_function_that_is_switched_off_is_not_subscribed(make_app, redis_client, loaded, monkeypatch, name):
    monkeypatch.setenv(name, "true")
    async with Host(make_app(RECORDER), http_port=0) as host:
        assert await redis_client.publish("jobs", "1") == 0
        await host.drained()
        assert (host.errors, loaded().received) == ({}, [])


async def test_a_channel_may_be_an_app_setting(make_app, redis_client, loaded):
    files = {"local.settings.json.example": '{"Values": {"LOCAL_HOST_TEST_CHANNEL": "jobs of*"}}'}
    folder = make_app(RECORDER.replace('"jobs"', '"%LOCAL_HOST_TEST_CHANNEL%"'), files=files)
    async with Host(folder, http_port=0) as host:
        await redis_client.publish("jobs of one", "1")
        await host.drained()
        assert loaded().received == ['{"SubscriptionChannel":"jobs of*","Channel":"jobs of one","Message":"1"}']
    assert "LOCAL_HOST_TEST_CHANNEL" not in os.environ


async def test_the_app_sees_the_environment_before_the_settings_file(make_app, monkeypatch, loaded):
    monkeypatch.setenv("LOCAL_HOST_TEST_A", "environment")
    files = {"local.settings.json": '{"Values": {"LOCAL_HOST_TEST_A": "file", "LOCAL_HOST_TEST_B": "file"}}'}
    source = RECORDER + 'import os\nread = {name: os.environ[f"LOCAL_HOST_TEST_{name}"] for name in "AB"}\n'
    async with Host(make_app(source, files=files), http_port=0):
        assert loaded().read == {"A": "environment", "B": "file"}


@pytest.mark.parametrize(
    ("source", "files", "reason"),
    [
        ("raise LookupError('at import')", {}, "LookupError: at import"),
        ("import no_such_module", {}, "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def broken(:", {}, "SyntaxError: "),
        ("other = func.FunctionApp()", {}, "ValueError: More than one FunctionApp"),
        ("", {}, "no function_app.py that defines a function"),
        (
            RECORDER + "@on('two')\nasync def two(message: int): ...",
            {},
            "FunctionLoadError: cannot load the two function",
        ),
        (RECORDER, {"host.json": "{"}, "host.json: "),
        (RECORDER, {"host.json": '{"extensions": {"http": {"routePrefix": 5}}}'}, "routePrefix"),
        (RECORDER, {"local.settings.json": "{"}, "local.settings.json: "),
    ],
)
async def test_an_app_that_cannot_be_loaded_fails_the_start_with_the_reason_and_is_removed(
    make_app, source, files, reason
):
    path_before, modules_before = list(sys.path), set(sys.modules)
    with pytest.raises(HostStartError) as error:
        await Host(make_app(source, files=files), http_port=0).__aenter__()
    assert reason in str(error.value)
    assert sys.path == path_before
    assert "function_app" not in set(sys.modules) - modules_before


async def test_an_address_in_use_fails_the_start(make_app):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(HostStartError, match=f"cannot listen on 127.0.0.1:{port}"):
            await Host(make_app(RECORDER), http_port=port).__aenter__()


async def test_a_process_runs_apps_one_after_the_other_each_freshly_imported(make_app, redis_client, loaded):
    source = RECORDER + "import helper\nname = helper.NAME\n"
    first = make_app(source, "first", {"helper.py": "NAME = 'first'"})
    second = make_app(source.replace("def record", "def other"), "second", {"helper.py": "NAME = 'second'"})
    runs = []
    for folder in (first, second, first):
        async with Host(folder, http_port=0) as host:
            await redis_client.publish("jobs", "1")
            await host.drained()
            app = loaded()
            runs.append((app.name, [function.name for function in host.functions], len(app.received)))
    assert runs == [("first", ["record"], 1), ("second", ["other"], 1), ("first", ["record"], 1)]


async def test_two_apps_at_once_in_a_process_are_refused(make_app):
    async with Host(make_app(RECORDER, "first"), http_port=0):
        with pytest.raises(HostStartError, match="already runs an app"):
            await Host(make_app(RECORDER, "second"), http_port=0).__aenter__()


async def test_a_module_that_was_imported_before_is_restored(make_app, monkeypatch):
    folder = make_app(RECORDER + "import local_host_helper\n", files={"local_host_helper.py": ""})
    monkeypatch.syspath_prepend(folder)
    import local_host_helper

    async with Host(folder, http_port=0):
        assert sys.modules["local_host_helper"] is not local_host_helper
    assert sys.modules.pop("local_host_helper") is local_host_helper


async def _start_process(folder: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "local.host", "--app-dir", str(folder), "--port", "0"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_process_prints_ready_and_ends_with_0_on_a_signal(make_app, redis_client, number):
    process = await _start_process(make_app(RECORDER + '    print("received", message, flush=True)\n'))
    assert process.stdout is not None
    assert (await process.stdout.readline()).startswith(b"ready http://127.0.0.1:")
    await redis_client.publish("jobs", "1")
    assert (
        await process.stdout.readline() == b'received {"SubscriptionChannel":"jobs","Channel":"jobs","Message":"1"}\n'
    )
    process.send_signal(number)
    output, errors = await process.communicate()
    assert (process.returncode, output) == (0, b"")
    assert b"Traceback" not in errors


async def test_a_process_that_cannot_start_ends_with_1_and_the_reason(make_app):
    process = await _start_process(make_app("raise LookupError('at import')"))
    output, errors = await process.communicate()
    assert (process.returncode, output) == (1, b"")
    assert b"The host cannot start: LookupError: at import" in errors
