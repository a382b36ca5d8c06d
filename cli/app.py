"""All commands, gathered."""

import typer

from cli import audit, charts, cleanup, dead_letters, doctor, explain, keys, migrate, patterns, sweep, ttl, watch

HELP = """Inspect, check and repair the Redis that the app reacts to.

Works on the Redis and the storage account of the app's settings: environment variables, else local.settings.json, else
its example. For another server: Redis=HOST:PORT python3 manage.py ...

Exit codes: 0 success, 1 success and something needs attention, 2 failed, 130 interrupted.
"""

app = typer.Typer(
    name="python3 manage.py",
    help=HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(keys.commands, name="keys")
app.add_typer(ttl.commands, name="ttl")
app.command("cleanup")(cleanup.cleanup)
app.command("migrate")(migrate.migrate)
app.command("doctor")(doctor.doctor)
app.command("explain")(explain.explain)
app.add_typer(patterns.commands, name="patterns")
app.add_typer(dead_letters.commands, name="deadletters")
app.add_typer(audit.commands, name="audit")
app.add_typer(charts.commands, name="charts")
app.command("sweep")(sweep.sweep)
app.command("watch")(watch.watch)


def main() -> None:
    """Run the command that the arguments name."""
    app()
