"""App settings of a function app on one machine: local.settings.json into environment variables, as `func` does."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

SETTINGS_FILE = "local.settings.json"
EXAMPLE_FILE = "local.settings.json.example"


class AppSettingsError(ValueError):
    """A settings file that cannot be used. The text names the file and the fault, never a value."""


def load_app_settings(app_dir: Path) -> dict[str, str]:
    """The `Values` of local.settings.json, of local.settings.json.example where that does not exist, else nothing.

    Raises AppSettingsError for a file that is not the JSON object that `func` reads, or that is encrypted.
    """
    for name in (SETTINGS_FILE, EXAMPLE_FILE):
        path = app_dir / name
        if path.is_file():
            return _read_values(path)
    return {}


def apply(settings: Mapping[str, str]) -> tuple[str, ...]:
    """Put each setting into os.environ unless it is there already. Returns the names that were put there."""
    new = {name: value for name, value in settings.items() if name not in os.environ}
    os.environ.update(new)
    return tuple(new)


def _read_values(path: Path) -> dict[str, str]:
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as fault:
        raise AppSettingsError(f"{path}: not UTF-8 at byte {fault.start}") from None
    except json.JSONDecodeError as fault:
        raise AppSettingsError(f"{path}: {fault.msg} at line {fault.lineno} column {fault.colno}") from None
    if not isinstance(document, dict):
        raise AppSettingsError(f"{path}: a JSON object is expected")
    if document.get("IsEncrypted"):
        raise AppSettingsError(f"{path}: IsEncrypted is set; run `func settings decrypt` first")
    values = document.get("Values", {})
    if not isinstance(values, dict):
        raise AppSettingsError(f"{path}: Values has to be an object")
    if faults := [text for name, value in values.items() if (text := _fault(name, value))]:
        raise AppSettingsError(f"{path}: " + "; ".join(faults))
    return values


def _fault(name: str, value: object) -> str | None:
    if not isinstance(value, str):
        return f"the value of {name!r} has to be a string, not {type(value).__name__}"
    if not name or "=" in name or "\0" in name + value:
        return f"{name!r} cannot be an environment variable"
    return None
