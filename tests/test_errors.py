"""The error tree in the module's docstring is the one in the code."""

import re

from shared import errors


def test_the_tree_that_is_drawn_is_the_tree_that_is() -> None:
    drawn = set(re.findall(r"^\+-- (\w+)", errors.__doc__ or "", re.MULTILINE))
    assert drawn == {one.__name__ for one in errors.KeyspaceError.__subclasses__()}


def test_every_error_explains_itself() -> None:
    assert all(one.__doc__ for one in errors.KeyspaceError.__subclasses__())
