"""Which keys an operator means: by namespace, by kind, by glob."""

from dataclasses import dataclass
from enum import StrEnum

from shared import namespaces
from shared.errors import KeyspaceError
from shared.namespaces import Kind

UNKNOWN_KIND = "unknown"
"""Keys that fit no row of the table of keys."""


class Namespace(StrEnum):
    """The first word of a key."""

    NEXTAUTH = "nextauth"
    FABRIC = "fabric"
    FASTAPI = "fastapi"
    FUNCTIONS = "functions"
    UNKNOWN = "unknown"
    """Any other word, or none."""


_BY_FIRST_WORD = {name.value.encode(): name for name in Namespace if name is not Namespace.UNKNOWN}


def namespace_of(key: bytes) -> Namespace:
    """The namespace that `key` is in, whether or not it fits a row of the table."""
    first_word, colon, _ = key.partition(b":")
    return _BY_FIRST_WORD.get(first_word, Namespace.UNKNOWN) if colon else Namespace.UNKNOWN


def kind_of(key: bytes) -> Kind | None:
    """The row of the table that `key` fits; None for a key that fits no row."""
    parsed = namespaces.parse(key)
    return parsed[0] if parsed else None


@dataclass(frozen=True, slots=True)
class Selection:
    """Keys of a namespace, of kinds (by name, or UNKNOWN_KIND) and matching a glob of Redis; a condition that is not
    given selects all keys.

    Raises KeyspaceError for a kind that does not exist, or not in this namespace.
    """

    namespace: Namespace | None = None
    kinds: frozenset[str] = frozenset()
    match: bytes | None = None

    def __post_init__(self) -> None:
        for name in self.kinds - {UNKNOWN_KIND}:
            kind = namespaces.BY_NAME.get(name)
            if kind is None or self.namespace not in {None, kind.namespace}:
                names = [row.name for row in namespaces.TABLE if self.namespace in {None, row.namespace}]
                where = f" in {self.namespace}" if self.namespace else ""
                raise KeyspaceError(f"no such kind{where}; expected one of: {', '.join([*names, UNKNOWN_KIND])}")

    @property
    def pattern(self) -> bytes:
        """The narrowest single glob for SCAN that matches every selected key."""
        if self.match is not None:
            return self.match
        kinds = [namespaces.BY_NAME.get(name) for name in self.kinds]
        if len(kinds) == 1 and kinds[0] is not None:
            return kinds[0].prefix + b"*"
        return b"*" if self.namespace in {None, Namespace.UNKNOWN} else f"{self.namespace}:*".encode()

    def has(self, key: bytes) -> bool:
        """Whether a key that matches `pattern` is of a selected namespace and kind."""
        if self.namespace is not None and namespace_of(key) is not self.namespace:
            return False
        if not self.kinds:
            return True
        kind = kind_of(key)
        return (kind.name if kind else UNKNOWN_KIND) in self.kinds
