"""Settings: all faults are reported at once, secrets are masked, and the example file is complete."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from shared import settings
from shared.errors import ConfigurationError
from shared.platform_variables import instance
from shared.store.identity import Identity

ROOT = Path(__file__).parents[1]
AZURE: list[dict[str, str]] = [
    {"WEBSITE_INSTANCE_ID": "i-1"},
    {"CONTAINER_NAME": "c", "MANAGED_ENVIRONMENT": "e"},
]
"""What App Service sets, and what Container Apps sets."""


def test_defaults_are_complete() -> None:
    parsed = settings.parse({})
    assert parsed.max_payload_bytes == 8 * 1024 * 1024
    assert parsed.chart_max_points == 500
    assert parsed.chart_queries == {"plant-overview": ["*"]}


def test_environment_variables_are_converted() -> None:
    parsed = settings.parse({"CHART_MAX_POINTS": "200", "ANOMALY_THRESHOLD": "4", "CHART_QUERIES": '{"q": ["co2*"]}'})
    assert (parsed.chart_max_points, parsed.anomaly_threshold, parsed.chart_queries) == (200, 4.0, {"q": ["co2*"]})


def test_every_fault_is_reported_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings.parse(
            {
                "CHART_MAX_POINTS": "2",
                "MAX_PAYLOAD_BYTES": "lots",
                "CHART_QUERIES": "[1]",
                "Redis": "h:1,colour=red",
                "AUDIT_KEY": "short",
            }
        )
    message = str(caught.value)
    assert all(
        name in message for name in ("CHART_MAX_POINTS", "MAX_PAYLOAD_BYTES", "CHART_QUERIES", "colour", "AUDIT_KEY")
    )
    assert "short" not in message


def test_a_query_without_an_id_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="CHART_QUERIES"):
        settings.parse({"CHART_QUERIES": '{"": ["*"]}'})


def test_in_azure_the_development_audit_key_is_refused() -> None:
    for place in AZURE:
        with pytest.raises(ConfigurationError, match="AUDIT_KEY"):
            settings.parse(place | {"Redis": "h:1"})
        with pytest.raises(ConfigurationError, match="AUDIT_KEY"):
            settings.parse(place | {"Redis": "h:1", "AUDIT_KEY": settings.DEVELOPMENT_AUDIT_KEY})
        assert settings.parse(place | {"Redis": "h:1", "AUDIT_KEY": "a secret of our own"}).audit_key


def test_in_azure_redis_has_no_default() -> None:
    for place in AZURE:
        with pytest.raises(ConfigurationError, match="Redis: must be set in Azure"):
            settings.parse(place | {"AUDIT_KEY": "a secret of our own"})


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"Redis": "plain:1"}, "plain:1"),
        ({"REDIS": "upper:1"}, "upper:1"),
        ({"AzureWebJobsRedis": "prefixed:1", "Redis": "plain:1"}, "prefixed:1"),
        ({"azurewebjobsREDIS": "prefixed:1", "Redis": "plain:1"}, "prefixed:1"),
        ({"ConnectionStrings:Redis": "portal:1", "Redis": "plain:1"}, "portal:1"),
        ({"ConnectionStrings__Redis": "portal:1", "AzureWebJobsRedis": "prefixed:1"}, "prefixed:1"),
        ({"CUSTOMCONNSTR_Redis": "custom:1", "Redis": "plain:1"}, "custom:1"),
        ({"REDISCACHECONNSTR_redis": "cache:1"}, "cache:1"),
        ({"ConnectionStrings:AzureWebJobsRedis": "first:1", "AzureWebJobsRedis": "second:1"}, "first:1"),
        ({"AzureWebJobsRedis": " ", "Redis": "plain:1"}, "plain:1"),
        ({}, "127.0.0.1:6379"),
    ],
)
def test_redis_is_found_where_the_trigger_finds_it(environ: dict[str, str], expected: str) -> None:
    assert settings.parse(environ).redis == expected


BY_IDENTITY = {"Redis__redisHostName": "h:10000", "Redis__principalId": "p"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (BY_IDENTITY, Identity("p")),
        ({"REDIS:REDISHOSTNAME": "h:10000", "redis:principalid": "p"}, Identity("p")),
        (BY_IDENTITY | {"Redis__clientId": "c"}, Identity("p", client_id="c")),
        (
            BY_IDENTITY | {"Redis__credential": "managedidentity", "Redis__clientId": "c"},
            Identity("p", client_id="c", managed=True),
        ),
        (
            BY_IDENTITY | {"Redis__clientId": "c", "Redis__tenantId": "t", "Redis__clientSecret": "s"},
            Identity("p", client_id="c", tenant_id="t", client_secret="s"),
        ),
        (
            {"AzureWebJobsRedis__redisHostName": "h:10000", "AzureWebJobsRedis__principalId": "p", "Redis": "plain:1"},
            Identity("p"),
        ),
    ],
)
def test_sign_in_by_identity_is_found_where_the_trigger_finds_it(environ: dict[str, str], expected: Identity) -> None:
    parsed = settings.parse(AZURE[0] | {"AUDIT_KEY": "a secret of our own"} | environ)
    assert parsed.redis_options.identity == expected
    assert (parsed.redis_options.host, parsed.redis_options.port, parsed.redis_options.ssl) == ("h", 10000, True)
    assert parsed.concerns == (), "abortConnect is off by default"


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        (BY_IDENTITY | {"Redis": "h:1"}, "not both"),
        ({"Redis__redisHostName": "h:10000"}, "Redis__principalId: must be"),
        ({"Redis__principalId": "p"}, "Redis__redisHostName: must be set"),
        (BY_IDENTITY | {"Redis__redisHostName": "h:10000,ssl=False"}, "clear text"),
        (BY_IDENTITY | {"Redis__redisHostName": "h:10000,password=hunter2"}, "contradict"),
        (BY_IDENTITY | {"Redis__redisHostName": "h:10000,protocol=resp3"}, "does not subscribe again"),
        (BY_IDENTITY | {"Redis__clientSecret": "hunter2"}, "needs Redis__clientId"),
        (BY_IDENTITY | {"Redis__credential": "magic"}, "must be managedidentity"),
        (BY_IDENTITY | {"Redis__managedIdentityResourceId": "r"}, "managedidentityresourceid: is not supported"),
    ],
)
def test_sign_in_by_identity_that_the_trigger_would_not_take_is_refused(environ: dict[str, str], reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason) as caught:
        settings.parse(environ)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["AUDIT_KEY", "audit_key", "Redis", "CUSTOMCONNSTR_Redis", "INPUTS"])
def test_a_reference_that_the_platform_did_not_resolve_is_not_taken_for_a_value(name: str) -> None:
    reference = "@Microsoft.KeyVault(SecretUri=https://vault.vault.azure.net/secrets/s)"
    with pytest.raises(ConfigurationError, match=f"{name}: the platform could not resolve the reference"):
        settings.parse({name: reference})


def test_the_secret_of_a_service_principal_is_not_shown() -> None:
    secret = {"Redis__clientId": "c", "Redis__tenantId": "t", "Redis__clientSecret": "hunter2"}
    assert "hunter2" not in repr(settings.parse(BY_IDENTITY | secret))


def test_settings_by_identity_import_no_library_of_azure() -> None:
    code = "import sys; from shared import settings; settings.current(); print('azure.identity' in sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | BY_IDENTITY, capture_output=True, text=True, check=True
    )
    assert output.stdout == "False\n"


@pytest.mark.parametrize(
    ("environ", "reasons"),
    [
        (AZURE[0], ["AUDIT_KEY: must be set to a secret in Azure", "Redis: must be set in Azure"]),
        ({"AUDIT_KEY": "short", "CHART_MAX_POINTS": "1"}, ["AUDIT_KEY: ", "CHART_MAX_POINTS: "]),
        ({"EXPIRY_SCHEDULE": "99 * * * * *"}, ["EXPIRY_SCHEDULE: second: '99' is not within 0 to 59"]),
        ({"Redis": "h:1,protocol=resp3"}, ["Redis: protocol: over RESP3 the trigger does not subscribe again"]),
    ],
)
def test_the_app_says_on_stderr_why_it_does_not_start(environ: dict[str, str], reasons: list[str]) -> None:
    """Before anything is imported that is not needed to read the settings: also where that could not be imported."""
    blocked = "import sys; sys.modules['azure.functions'] = None; import function_app"
    process = subprocess.run(
        [sys.executable, "-c", blocked], cwd=ROOT, env=os.environ | environ, capture_output=True, text=True, check=False
    )
    assert process.returncode == 1
    lines = [line for line in process.stderr.splitlines() if line.startswith("The app does not start: ")]
    assert len(lines) == len(reasons)
    for line, reason in zip(sorted(lines), reasons, strict=True):
        assert line.startswith(f"The app does not start: {reason}")
    assert "short" not in "".join(lines)


def test_a_module_that_is_missing_is_named_on_stderr() -> None:
    process = subprocess.run(
        [sys.executable, "-c", "import sys; sys.modules['azure.functions'] = None; import function_app"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "The app does not start: import of azure.functions halted" in process.stderr


def test_what_is_set_wrong_but_starts_is_a_concern() -> None:
    azure = AZURE[0] | {"AUDIT_KEY": "a secret of our own"}
    assert settings.parse(azure | {"Redis": "h:1,abortConnect=False"}).concerns == ()
    assert settings.parse(azure | {"Redis": "plant.redis.cache.windows.net:6380,ssl=True"}).concerns == ()
    (concern,) = settings.parse(azure | {"Redis": "plant.westeurope.redis.azure.net:10000,ssl=True"}).concerns
    assert "abortConnect=False" in concern
    (concern,) = settings.parse({"PYTHON_ENABLE_OPENTELEMETRY": "true"}).concerns
    assert "log lines" in concern
    (concern,) = settings.parse({"AzureWebJobs.sweep.Disabled": "true"}).concerns
    assert "sweep is disabled" in concern


def test_a_repr_shows_no_secret() -> None:
    shown = repr(settings.parse({"Redis": "h:1,password=hunter2", "AUDIT_KEY": "hunter2hunter2hunter2"}))
    assert "hunter2" not in shown
    assert "max_payload_bytes=8388608" in shown


def test_the_example_file_has_every_setting_with_its_default() -> None:
    values = json.loads((ROOT / "local.settings.json.example").read_text())["Values"]
    platform = {"FUNCTIONS_WORKER_RUNTIME": "python", "AzureWebJobsStorage": "UseDevelopmentStorage=true"}
    assert platform.items() <= values.items()
    assert {name: values[name] for name in values if name not in platform}.keys() == {
        settings.variable(name) for name in settings.names()
    }
    assert settings.parse(values) == settings.parse(platform)


def test_every_setting_has_a_description() -> None:
    for name in settings.names():
        assert settings.description(name).endswith(".")


def test_the_lease_is_derived_from_the_function_timeout() -> None:
    assert settings.parse({}).function_timeout_s == 120
    assert settings.parse({}).lease_ms == 30_000
    assert settings.parse({"AzureFunctionsJobHost__functionTimeout": "00:10:00"}).lease_ms == 150_000
    assert settings.parse({"LEASE_S": "2.5"}).lease_ms == 2500


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        ({"LEASE_S": "121"}, ("LEASE_S", "functionTimeout")),
        ({"WORK_TIMEOUT_S": "120"}, ("WORK_TIMEOUT_S", "functionTimeout")),
        ({"SWEEP_SCHEDULE": "banana"}, ("SWEEP_SCHEDULE", "six fields")),
        ({"LEASE_S": "0.0004"}, ("LEASE_S", "functionTimeout")),
        ({"RETRY_BASE_S": "400"}, ("RETRY_BASE_S", "RETRY_CAP_S")),
        ({"DEAD_LETTERS_MAX_BYTES": "2048"}, ("DEAD_LETTERS_MAX_BYTES", "MAX_PAYLOAD_BYTES")),
        ({"AzureFunctionsJobHost__functionTimeout": "-1"}, ("functionTimeout", "finite")),
    ],
)
def test_settings_that_contradict_each_other_are_both_named(environ: dict[str, str], names: tuple[str, str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings.parse(environ)
    assert all(name in str(caught.value) for name in names)


def test_a_fault_names_the_value_unless_it_is_a_secret() -> None:
    environ = {"RETRY_BASE_S": "soon\x1b", "AUDIT_KEY": "short", "AUDIT_KEY_PREVIOUS": "brief"}
    with pytest.raises(ConfigurationError) as raised:
        settings.parse(environ)
    assert r"RETRY_BASE_S: expected a number; it is 'soon\x1b'" in str(raised.value)
    assert "AUDIT_KEY" in str(raised.value)
    assert "short" not in str(raised.value).replace("shorter", "")
    assert "brief" not in str(raised.value)


def test_an_instance_is_named_after_its_machine_and_its_process_with_its_start() -> None:
    """Two slots on one machine have the same WEBSITE_INSTANCE_ID and, in their containers, the same process ids."""
    names = {instance({"WEBSITE_INSTANCE_ID": "0123456789abcdef"}, process_id) for process_id in (1, os.getpid())}
    assert len(names) == 2
    assert all(re.fullmatch(r"0123456789ab-\d+(-[0-9a-f]+)?", name) for name in names)
    if Path("/proc/self/stat").exists():
        assert all(name.count("-") == 2 for name in names)
        mine = instance({}, os.getpid())
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as later:
            its = instance({}, later.pid)
            assert int(its.rpartition("-")[2], 16) > int(mine.rpartition("-")[2], 16)
            later.communicate(b"\n")
    assert instance({}, 2**22 + 1).endswith("-4194305"), "no such process: without its start"
