"""The operators' command line (manage.py): one module per group of commands."""
