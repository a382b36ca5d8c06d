"""App settings on one machine: reads local.settings.json into environment variables, as `func` does."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from shared.store.connection_setting import variables

SETTINGS_FILE = "local.settings.json"
EXAMPLE_FILE = "local.settings.json.example"


class AppSettingsError(ValueError):
    """A settings file is unusable. The text names the file and the error, never a value."""


def load_app_settings(app_dir: Path) -> dict[str, str]:
    """The `Values` of local.settings.json or, without that file, of local.settings.json.example, else no settings.

    Raises AppSettingsError if the file is not the JSON object that `func` reads, or is encrypted.
    """
    for name in (SETTINGS_FILE, EXAMPLE_FILE):
        path = app_dir / name
        if path.is_file():
            return read_values(path)
    return {}


def apply(settings: Mapping[str, str]) -> tuple[str, ...]:
    """Set each environment variable that is not set yet. Returns the names of those that were set.

    A connection to Redis in the environment replaces that of the file, whichever form they have.
    """
    replaced = {name for name, _ in variables(settings, "Redis")} if any(variables(os.environ, "Redis")) else set()
    new = {name: value for name, value in settings.items() if name not in os.environ and name not in replaced}
    os.environ.update(new)
    return tuple(new)


def read_values(path: Path) -> dict[str, str]:
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise AppSettingsError(f"{path}: not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise AppSettingsError(f"{path}: {error.msg} at line {error.lineno} column {error.colno}") from None
    if not isinstance(document, dict):
        raise AppSettingsError(f"{path}: expected a JSON object")
    if document.get("IsEncrypted"):
        raise AppSettingsError(f"{path}: IsEncrypted is set; run `func settings decrypt` first")
    values = document.get("Values", {})
    if not isinstance(values, dict):
        raise AppSettingsError(f"{path}: Values must be an object")
    if errors := [text for name, value in values.items() if (text := _check_setting(name, value))]:
        raise AppSettingsError(f"{path}: " + "; ".join(errors))
    return values


def _check_setting(name: str, value: object) -> str | None:
    """Why the setting is invalid; None if it is valid."""
    if not isinstance(value, str):
        return f"the value of {name!r} must be a string, not {type(value).__name__}"
    if not name or "=" in name or "\0" in name + value:
        return f"{name!r} cannot be an environment variable"
    return None
