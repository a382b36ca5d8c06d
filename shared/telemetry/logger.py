"""The logger of the app."""

import logging

logger = logging.getLogger("keyspace_functions")
