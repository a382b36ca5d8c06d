"""Shapes of keys of no known kind: what is shown of a key, with `*` for each hidden part, such as `cart:*:items`."""

from collections.abc import Sized

from shared.app import App
from shared.privacy.masking import printable
from shared.privacy.unknown_keys import shown_parts

MAX_SHAPES = 300
"""Shapes that are told apart; further ones count as OTHER_SHAPES."""
OTHER_SHAPES = "(other shapes)"


def shape_of(app: App, key: bytes) -> str:
    """The shape of a key, printable and without secrets."""
    parts = shown_parts(key, hide_users=app.settings.audit_pseudonymise_users)
    return printable(b"".join(part if shown else b"*" for part, shown in parts), 80)


def has_room(shapes: Sized) -> bool:
    """Whether another shape is told apart from those that were counted."""
    return len(shapes) < MAX_SHAPES
