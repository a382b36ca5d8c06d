"""Says on stderr why the app cannot start."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath
from typing import TextIO

from shared.errors import ConfigurationError


@contextmanager
def reported(stderr: TextIO) -> Iterator[None]:
    """Around the import of the app: an exception is written to `stderr`, a line per reason, and raised again.

    Of other exceptions than a wrong setting and a failed import only class and place: a text may quote a setting.
    """
    try:
        yield
    except ConfigurationError as error:
        for reason in error.faults:
            print(f"The app does not start: {reason}", file=stderr, flush=True)
        raise
    except ImportError as error:
        print(f"The app does not start: {error}", file=stderr, flush=True)
        raise
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{PurePath(place.filename).name}:{place.lineno}"
        print(f"The app does not start: {type(error).__name__} at {where}", file=stderr, flush=True)
        raise
