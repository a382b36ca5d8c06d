"""manage.py finds the `./run` of its checkout, and uses it only where no setting names another Redis or storage."""

import json
import stat
from pathlib import Path

import pytest

from local.run.state import FOLDER, STORAGE, RunState, published, running, settings_of_running

STATE = RunState("127.0.0.1:41234", "BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;")
SETTINGS = {"Redis": STATE.redis, STORAGE: STATE.storage}
EXAMPLE = {"Redis": "127.0.0.1:6379", STORAGE: "UseDevelopmentStorage=true"}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "local.settings.json.example").write_text(json.dumps({"Values": EXAMPLE}))
    return tmp_path


@pytest.mark.parametrize("environ", [{}, {"Redis": STATE.redis}, {"Redis": ""}, SETTINGS])
def test_the_settings_of_a_running_run_are_found(checkout: Path, environ: dict[str, str]) -> None:
    (checkout / "local.settings.json").write_text(json.dumps({"Values": EXAMPLE | {"AUDIT_KEY": "mine"}}))
    with published(checkout, STATE):
        assert settings_of_running(checkout, environ) == SETTINGS
    assert settings_of_running(checkout, environ) == {}
    assert list((checkout / FOLDER).iterdir()) == []


@pytest.mark.parametrize(
    "given",
    [
        {"Redis": "prod.redis.cache.windows.net:6380,password=secret,ssl=True"},
        {"AzureWebJobsRedis": "127.0.0.1:6390"},
        {STORAGE: "DefaultEndpointsProtocol=https;AccountName=prod"},
        {f"{STORAGE}__accountName": "prod"},
    ],
)
def test_a_setting_that_names_another_server_is_never_mixed_with_those_of_run(
    checkout: Path, given: dict[str, str]
) -> None:
    with published(checkout, STATE):
        assert settings_of_running(checkout, given) == {}
        (checkout / "local.settings.json").write_text(json.dumps({"Values": given}))
        assert settings_of_running(checkout, {}) == {}


def test_the_file_of_a_killed_run_is_recognised_and_removed(checkout: Path) -> None:
    (checkout / FOLDER).mkdir()
    for number, content in enumerate([json.dumps({"redis": STATE.redis, "storage": ""}), "not JSON"]):
        (checkout / FOLDER / f"{number}.json").write_text(content)
    assert running(checkout) is None
    assert list((checkout / FOLDER).iterdir()) == []


def test_of_several_the_run_that_started_last_is_used_and_only_its_owner_can_read_its_file(checkout: Path) -> None:
    later = RunState("127.0.0.1:41235", "")
    with published(checkout, STATE):
        with published(checkout, later):
            assert running(checkout) == later
            assert {stat.S_IMODE(path.stat().st_mode) for path in (checkout / FOLDER).iterdir()} == {0o600}
        assert running(checkout) == STATE


def test_a_run_works_in_a_folder_that_it_cannot_write(tmp_path: Path) -> None:
    with published(tmp_path / "missing", STATE):
        assert running(tmp_path / "missing") is None
