"""infra/: the template parses, sets what the code reads, gives no right without a reason, and reveals no secret."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pycep
import pytest

from shared import settings
from shared.operations.notification_flags import REQUIRED

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
FILES = sorted(INFRA.rglob("*.bicep"))
ROLES = {
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
    "4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
}
"""Ids of built-in roles, which are the same in every tenant."""


@cache
def parsed(file: Path) -> dict[str, Any]:
    return pycep.BicepParser().parse(file_path=file)  # type: ignore[no-any-return]


def table(document: str, mark: str) -> str:
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    match = re.search(rf"<!-- {mark} -->\n(.*?)<!-- end -->", text, re.DOTALL)
    assert match is not None
    return match[1]


def settings_of_the_template() -> dict[str, str]:
    """The app settings, with a sample value for each expression."""
    text = (INFRA / "modules" / "app.bicep").read_text(encoding="utf-8")
    block = re.search(r"^var settings = \{\n(.*?)^\}", text, re.DOTALL | re.MULTILINE)
    assert block is not None
    samples = {"storageName": "'account'", "redisHostName": "'name.region.redis.azure.net:10000'"}
    lines = dict(line.strip().split(": ", 1) for line in block[1].splitlines())
    values = {name: samples.get(text, text if text.startswith("'") else "'sample'") for name, text in lines.items()}
    return {
        name: re.sub(r"@Microsoft\.KeyVault\(.*\)", "a secret, resolved", text[1:-1]) for name, text in values.items()
    }


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_parameter_is_described_and_used(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    for name, parameter in parsed(file).get("parameters", {}).items():
        assert any(decorator["type"] == "description" for decorator in parameter["decorators"]), name
        assert len(re.findall(rf"\b{name}\b", text)) > 1, f"{name} is not used"


def test_modules_get_the_parameters_that_they_have() -> None:
    for file in FILES:
        for call in re.finditer(
            r"^module \w+ '([^']+)'.*?^\}", file.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
        ):
            declared = parsed(file.parent / call[1])["parameters"]
            body = re.search(r"params: \{(.*)\}\s*\}\Z", call[0], re.DOTALL)
            assert body is not None
            given = set(re.findall(r"(?:^|[{,\n])\s*(\w+): ", body[1]))
            assert given == set(declared), f"{file.name}: {call[1]}"


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_parameter_files_name_parameters_of_the_template(name: str) -> None:
    declared = parsed(INFRA / "main.bicep")["parameters"]
    given = set(re.findall(r"^param (\w+)", (INFRA / f"{name}.bicepparam").read_text(encoding="utf-8"), re.MULTILINE))
    assert given <= set(declared)
    assert {name for name, parameter in declared.items() if parameter["default"] is None} <= given
    of_azd = json.loads((INFRA / "main.parameters.json").read_text(encoding="utf-8"))["parameters"]
    assert set(of_azd) <= set(declared)


def test_the_app_starts_in_azure_with_the_settings_of_the_template() -> None:
    """Without a fault, so each setting that the code reads is set or has a default; and without a concern."""
    parsed_settings = settings.parse({"WEBSITE_INSTANCE_ID": "i-1"} | settings_of_the_template())
    assert parsed_settings.concerns == ()
    assert parsed_settings.redis_options.identity is not None
    assert parsed_settings.redis_options.ssl
    assert parsed_settings.storage == "https://account.blob.core.windows.net"
    assert parsed_settings.storage_client_id


def test_every_app_setting_is_the_app_s_own_or_has_its_reason() -> None:
    own = {settings.variable(name) for name in settings.names()}
    explained = set(re.findall(r"`(\w+)`", table("azure.md", "platform settings")))
    assert set(settings_of_the_template()) - own == explained


def test_every_role_has_its_reason_and_no_other_is_assigned() -> None:
    assigned: list[str] = []
    for file in FILES:
        text = file.read_text(encoding="utf-8")
        assigned += re.findall(r"'([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22})'", text)
        assert text.count("roleAssignments@") == len(re.findall(r"roleDefinitionId: ", text))
    rows = re.findall(r"^\| ([^|]+?) \| [^|]+ \| [^|]+ \|$", table("azure.md", "roles"), re.MULTILINE)
    assert sorted(rows) == sorted(["Role", "---", *(ROLES[role] for role in assigned), "access policy `default`"])


def test_no_secret_is_in_an_output_and_secrets_are_secure_parameters() -> None:
    for file in FILES:
        document = parsed(file)
        for name, output in document.get("outputs", {}).items():
            assert "listKeys" not in str(output), name
            assert "auditKey." not in str(output), name
        for name, parameter in document.get("parameters", {}).items():
            secure = any(decorator["type"] == "secure" for decorator in parameter["decorators"])
            assert secure == (name == "auditKey"), name


def test_redis_has_the_flags_that_the_triggers_need() -> None:
    for file in (INFRA / "modules" / "redis.bicep", INFRA / "set-notifications.sh"):
        flags = re.search(r"notifyKeyspaceEvents\W+([\w$]+)", file.read_text(encoding="utf-8"))
        assert flags is not None
        assert set(flags[1]) == set(REQUIRED)


def test_the_alerts_are_those_of_the_documentation() -> None:
    text = (INFRA / "modules" / "alerts.bicep").read_text(encoding="utf-8")
    names = {name.replace("\\'", "'") for name in re.findall(r"^    name: '(.+)'$", text, re.MULTILINE)}
    document = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+?) \| .*\[runbook\]", document, re.MULTILINE)
    assert names | {"health"} == set(rows)
    runbook = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8").lower().replace(",", "")
    for anchor in re.findall(r"runbook: '([\w-]+)'", text):
        assert f"\n## {anchor.replace('-', ' ')}\n" in runbook, anchor


def test_the_slot_is_in_standby_with_a_share_and_a_host_id_of_its_own_and_a_swap_takes_the_code_along() -> None:
    text = (INFRA / "modules" / "app.bicep").read_text(encoding="utf-8")
    block = re.search(r"properties: union\(settings, appSettings, \{\n(.*?)\n  \}\)", text, re.DOTALL)
    assert block is not None
    of_the_slot = dict(line.strip().split(": ", 1) for line in block[1].splitlines())
    assert of_the_slot.keys() == {"WEBSITE_CONTENTSHARE", "AzureFunctionsWebHost__hostid", "STANDBY"}
    names = re.search(r"appSettingNames: \[(.*)\]", text)
    assert names is not None
    assert set(re.findall(r"'(\w+)'", names[1])) == of_the_slot.keys() - {"WEBSITE_CONTENTSHARE"}
    (concern,) = settings.parse(
        {"WEBSITE_INSTANCE_ID": "i"} | settings_of_the_template() | {"STANDBY": "true"}
    ).concerns
    assert concern.startswith("STANDBY")
    (prefix,) = re.findall(r"var hostId = '([a-z-]+)\$\{uniqueString\(", text)
    host_id = of_the_slot["AzureFunctionsWebHost__hostid"].strip("'").replace("${hostId}", prefix + "x" * 13)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", host_id), "what the host takes"
    assert len(host_id) <= 32


def test_the_slot_has_the_properties_of_production() -> None:
    text = (INFRA / "modules" / "app.bicep").read_text(encoding="utf-8")
    bodies = re.findall(r"^resource (?:site|staging) .*?(^  properties: \{.*?^  \})", text, re.DOTALL | re.MULTILINE)
    assert len(bodies) == 2
    production, staging = bodies
    assert staging == production.replace("value: liveShare", "value: stagingShare")
