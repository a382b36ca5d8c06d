"""What the platform's own environment variables say: where the app runs, its storage account, its time limit.

Functions of a mapping, which `shared/settings.py` reads from the process.
"""

import json
import re
import socket
from collections.abc import Collection, Mapping
from pathlib import Path

from shared.errors import ConfigurationError

_HOST_JSON = Path(__file__).parent.parent / "host.json"
_FUNCTION_TIMEOUT_OVERRIDE = "AzureFunctionsJobHost__functionTimeout"
_REFERENCE = re.compile(r"\s*@Microsoft\.(KeyVault|AppConfiguration)\(", re.IGNORECASE)
MACHINE_CHARS = 12
_START_FIELD = 19
"""Of /proc/PID/stat, counted after the name of the program: `starttime` in proc(5)."""
_DISABLED = re.compile(r"AzureWebJobs(?:\.|__)(\w+?)(?:\.|__)Disabled", re.IGNORECASE)
_TIME_SPAN = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2})")


def is_azure(environ: Mapping[str, str]) -> bool:
    """Whether the app runs in Azure: App Service sets the first variable, Container Apps the other two."""
    return "WEBSITE_INSTANCE_ID" in environ or {"CONTAINER_NAME", "MANAGED_ENVIRONMENT"} <= environ.keys()


def unresolved_references(environ: Mapping[str, str], own: Collection[str]) -> list[str]:
    """Faults for variables among `own`, in any letter case, that hold a reference to a secret in place of the secret.

    The platform passes on the text of a reference that it cannot resolve.
    """
    lowered = {name.lower() for name in own}
    return [
        f"{name}: the platform could not resolve the reference; check the secret and the app's right to read it"
        for name, value in environ.items()
        if name.lower() in lowered and _REFERENCE.match(value)
    ]


def is_on(environ: Mapping[str, str], name: str) -> bool:
    """A setting of the platform as the worker reads it."""
    return environ.get(name, "").lower() in {"1", "true", "t", "yes", "y"}


def storage(environ: Mapping[str, str]) -> tuple[str, str]:
    """The storage account as the host looks it up, and the client id of the identity that signs in to it."""
    name = "AzureWebJobsStorage"
    if text := environ.get(name, "").strip():
        return text, ""
    client_id = environ.get(f"{name}__clientId", "")
    if url := environ.get(f"{name}__blobServiceUri", ""):
        return url, client_id
    account = environ.get(f"{name}__accountName", "")
    return (f"https://{account}.blob.core.windows.net", client_id) if account else ("", "")


def function_timeout_s(environ: Mapping[str, str]) -> float:
    """functionTimeout as the host reads it.

    Raises ConfigurationError for one that is not finite: a hung handler would block its lane for ever.
    """
    text = environ.get(_FUNCTION_TIMEOUT_OVERRIDE)
    if text is None:
        text = str(json.loads(_HOST_JSON.read_text(encoding="utf-8")).get("functionTimeout"))
    match = _TIME_SPAN.fullmatch(text)
    if match is None:
        raise ConfigurationError(f"functionTimeout: {text!r} is not a finite time span hh:mm:ss")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def disabled_functions(environ: Mapping[str, str]) -> dict[str, str]:
    """The functions that are switched off, by name in lower case, with the variable that does it."""
    matches = ((_DISABLED.fullmatch(name), value) for name, value in environ.items())
    return {match[1].lower(): match[0] for match, value in matches if match and value.strip().lower() in {"1", "true"}}


def instance(environ: Mapping[str, str], process_id: int) -> str:
    """A name for the process of a host, or of the worker where the host has one, that no other on the same Redis has.

    The slots of an app run on the same machines, in containers that number their processes alike. So the time at which
    the process was started is a part of the name, in clock ticks since the machine's start, where the system tells it.
    """
    machine = environ.get("WEBSITE_INSTANCE_ID", "")[:MACHINE_CHARS] or socket.gethostname()
    try:
        status = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8", errors="replace")
        return f"{machine}-{process_id}-{int(status.rpartition(')')[2].split()[_START_FIELD]):x}"
    except (OSError, ValueError, IndexError):
        return f"{machine}-{process_id}"


def worker_processes(environ: Mapping[str, str]) -> int:
    text = environ.get("FUNCTIONS_WORKER_PROCESS_COUNT", "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 2 else 1
