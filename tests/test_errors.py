"""The error tree drawn in the docstring of shared.errors matches the classes."""

import re

from shared import errors


def test_the_tree_in_the_docstring_has_exactly_the_error_classes() -> None:
    drawn = set(re.findall(r"^\+-- (\w+)", errors.__doc__ or "", re.MULTILINE))
    assert drawn == {error.__name__ for error in errors.KeyspaceError.__subclasses__()}


def test_every_error_has_a_docstring() -> None:
    assert all(error.__doc__ for error in errors.KeyspaceError.__subclasses__())
