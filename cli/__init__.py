"""The operators' command line (manage.py): one module per group of commands."""

import shared  # noqa: F401  # before any module imports redis: see shared/runtime/redis_import.py
