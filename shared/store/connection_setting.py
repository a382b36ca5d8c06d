"""Where the Redis trigger finds the connection string that its binding names, and so where this app finds it.

The host reads environment variables without regard to letter case, as its configuration does, and looks in this order
(NAME is what the binding names, here `Redis`). The portal's "connection strings" become variables with a prefix.

    1. ConnectionStrings:AzureWebJobsNAME   2. AzureWebJobsNAME   3. ConnectionStrings:NAME   4. NAME
"""

from collections.abc import Mapping

_PORTAL_PREFIXES = ("CUSTOMCONNSTR_", "REDISCACHECONNSTR_", "SQLCONNSTR_", "SQLAZURECONNSTR_", "MYSQLCONNSTR_")
_SECTION = "ConnectionStrings"


def names_of(name: str) -> list[str]:
    """The variables in which the trigger looks for the connection `name`, first to last, in lower case."""
    names: list[str] = []
    for candidate in (f"AzureWebJobs{name}", name):
        names += [f"{_SECTION}:{candidate}", f"{_SECTION}__{candidate}"]
        names += [prefix + candidate for prefix in _PORTAL_PREFIXES]
        names.append(candidate)
    return [candidate.lower() for candidate in names]


def look_up(environ: Mapping[str, str], name: str) -> str:
    """The connection string that the trigger uses; "" if there is none."""
    values = {variable.lower(): value for variable, value in environ.items() if value.strip()}
    return next((values[candidate] for candidate in names_of(name) if candidate in values), "")


def signs_in_by_identity(environ: Mapping[str, str], name: str) -> bool:
    """Whether the connection is set in the form for sign-in by identity."""
    variables = {variable.lower().replace("__", ":") for variable, value in environ.items() if value.strip()}
    return any(f"{candidate}:redishostname" in variables for candidate in names_of(name))
