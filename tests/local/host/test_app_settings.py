"""local.settings.json is read as `func` reads it."""

import os
import re

import pytest

from local.host.app_settings import AppSettingsError, apply, load_app_settings


def test_the_file_is_preferred_to_the_example(tmp_path):
    (tmp_path / "local.settings.json.example").write_text('{"Values": {"A": "example"}}')
    assert load_app_settings(tmp_path) == {"A": "example"}
    (tmp_path / "local.settings.json").write_text('\ufeff{"IsEncrypted": false, "Values": {"A": "own"}}')
    assert load_app_settings(tmp_path) == {"A": "own"}


@pytest.mark.parametrize("text", ["{}", '{"Values": {}}'])
def test_without_a_file_or_without_values_there_are_no_settings(tmp_path, text):
    assert load_app_settings(tmp_path) == {}
    (tmp_path / "local.settings.json").write_text(text)
    assert load_app_settings(tmp_path) == {}


def test_the_environment_wins_over_the_file(monkeypatch):
    monkeypatch.setenv("LOCAL_HOST_TEST_A", "environment")
    monkeypatch.delenv("LOCAL_HOST_TEST_B", raising=False)
    new = apply({"LOCAL_HOST_TEST_A": "file", "LOCAL_HOST_TEST_B": "file"})
    assert (os.environ["LOCAL_HOST_TEST_A"], os.environ["LOCAL_HOST_TEST_B"]) == ("environment", "file")
    assert new == ("LOCAL_HOST_TEST_B",)
    del os.environ["LOCAL_HOST_TEST_B"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"Values": {"A": "secret",}}', "at line 1 column"),
        (b"\xff{}", "not UTF-8 at byte 0"),
        (b"[]", "expected a JSON object"),
        (b'{"Values": []}', "Values must be an object"),
        (b'{"IsEncrypted": true, "Values": {"A": "secret"}}', "IsEncrypted is set"),
        (b'{"Values": {"A": 5, "B": null}}', "the value of 'A' must be a string, not int; the value of 'B'"),
        (b'{"Values": {"A=B": "secret"}}', "'A=B' cannot be an environment variable"),
        (b'{"Values": {"A": "secret\\u0000"}}', "'A' cannot be an environment variable"),
    ],
)
def test_a_malformed_file_is_an_error_that_names_the_file_and_the_reason_but_no_value(tmp_path, text, reason):
    path = tmp_path / "local.settings.json"
    path.write_bytes(text)
    with pytest.raises(AppSettingsError, match=re.escape(str(path)) + ".*" + re.escape(reason)) as error:
        load_app_settings(tmp_path)
    assert "secret" not in str(error.value)


def test_a_connection_in_the_environment_replaces_that_of_the_file_in_any_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"Redis__redisHostName": "h:10000", "Redis__principalId": "p"})
    assert apply({"Redis": "127.0.0.1:6379", "Redis__clientId": "c", "LEASE_S": "1"}) == ("LEASE_S",)
    monkeypatch.setattr(os, "environ", {"Redis": "h:1"})
    assert apply({"Redis__redisHostName": "h:10000", "LEASE_S": "1"}) == ("LEASE_S",)
