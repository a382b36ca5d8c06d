"""Where the Redis trigger finds the connection that its binding names, and so where this app finds it.

The host reads environment variables without regard to letter case, as its configuration does, and takes the first of
these sections that has a value or members (NAME is what the binding names, here `Redis`):

    1. ConnectionStrings:AzureWebJobsNAME   2. AzureWebJobsNAME   3. ConnectionStrings:NAME   4. NAME

The portal's "connection strings" become variables with a prefix. A section's value is a connection string; its members
(`NAME__redisHostName`, `NAME__principalId`, ...) are sign-in by identity. Both at once are an error.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from shared.errors import ConfigurationError
from shared.store.connection import ConnectionOptions, parse_connection_string
from shared.store.identity import Identity, parse_identity

_PORTAL_PREFIXES = ("CUSTOMCONNSTR_", "REDISCACHECONNSTR_", "SQLCONNSTR_", "SQLAZURECONNSTR_", "MYSQLCONNSTR_")
HOST_NAME = "redishostname"


@dataclass(frozen=True)
class ConnectionSetting:
    text: str
    """A connection string, or with an identity the value of `redisHostName`, which options may follow."""
    identity: Identity | None = None

    def options(self) -> ConnectionOptions:
        """Raises ConfigurationError."""
        return parse_connection_string(self.text, self.identity)


def find(environ: Mapping[str, str], name: str) -> ConnectionSetting | None:
    """The connection that the trigger uses; None if there is none.

    Raises ConfigurationError where the trigger would not start. The text of the connection is not parsed yet.
    """
    values = {variable.lower().replace("__", ":"): value for variable, value in environ.items() if value.strip()}
    for names in _sections(name):
        text = next((values[variable] for variable in names if variable in values), "")
        members = {
            variable.rpartition(":")[2]: value
            for variable, value in values.items()
            if variable.rpartition(":")[0] in names
        }
        if text and HOST_NAME in members:
            raise ConfigurationError(
                f"{name}: set either a connection string ({name}) or sign-in by identity ({name}__redisHostName), "
                "not both: the trigger would not start"
            )
        if text:
            return ConnectionSetting(text)
        if HOST_NAME in members:
            return ConnectionSetting(members[HOST_NAME], parse_identity(members))
        if members:
            raise ConfigurationError(f"{name}__redisHostName: must be set for sign-in by identity")
    return None


def variables(environ: Mapping[str, str], name: str) -> Iterator[tuple[str, bool]]:
    """The variables of `environ` about the connection `name`, each with whether it is a member of a section."""
    names = {variable for section in _sections(name) for variable in section}
    for variable in environ:
        normal = variable.lower().replace("__", ":")
        if normal in names:
            yield variable, False
        elif normal.rpartition(":")[0] in names:
            yield variable, True


def _sections(name: str) -> list[list[str]]:
    """The names of the variables of each section, in lower case with ':' for '__', in the order in which they count."""
    sections: list[list[str]] = []
    for candidate in (f"azurewebjobs{name}".lower(), name.lower()):
        portal = [f"{prefix}{candidate}".lower() for prefix in _PORTAL_PREFIXES]
        sections += [[f"connectionstrings:{candidate}", *portal], [candidate]]
    return sections
