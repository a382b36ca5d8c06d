"""Classify error replies of Redis."""


def is_wrong_type(error: object) -> bool:
    """Whether Redis refused a command because the key holds another type: another application has written it."""
    return isinstance(error, Exception) and str(error).startswith("WRONGTYPE")
