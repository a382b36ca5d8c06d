"""The setting of a set of figures: machine, versions, commit."""

import os
import platform
import shutil
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path

from bench.results import ROOT, Setting
from local.run.servers import redis_server
from shared.operations.notification_flags import REQUIRED

_CLIENT = ("redis", "hiredis")
PACKAGES = {
    "handwritten": _CLIENT,
    "raw": ("hiredis", "uvloop"),
    "faststream": ("faststream", *_CLIENT, "uvloop"),
    "faststream-bulk": ("faststream", *_CLIENT, "uvloop"),
    "faststream-bridge": ("faststream", *_CLIENT, "uvloop"),
    "saq": ("saq", *_CLIENT),
    "taskiq": ("taskiq", "taskiq-redis", *_CLIENT, "uvloop"),
    "arq": ("arq", *_CLIENT),
    "dramatiq": ("dramatiq", *_CLIENT),
    "celery": ("celery", "kombu", *_CLIENT),
    "rq": ("rq", *_CLIENT),
}
"""The packages of each consumer in bench/peers. The others use those of requirements.txt."""

_WRITTEN_HERE = ("bench/results.csv", "docs/performance.md", "docs/images/performance-*.svg")


async def setting() -> Setting:
    """The present setting. Starts a server for a moment to read its version. Raises ServerError."""
    async with redis_server(REQUIRED) as server:
        version = server.version
    return Setting(
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=commit(ROOT),
        python=platform.python_version(),
        server=version,
        machine=machine(),
        kernel=f"{platform.system()} {platform.release()}",
    )


def commit(root: Path) -> str:
    """The commit of `root`, with `-dirty` if files other than the benchmark's own outputs differ from it."""
    git = shutil.which("git")
    if git is None:
        return "unknown"

    def output_of(*arguments: str) -> str:
        done = subprocess.run([git, *arguments], cwd=root, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    short = output_of("rev-parse", "--short", "HEAD")
    changed = output_of("status", "--porcelain", "--", ".", *(f":(exclude){path}" for path in _WRITTEN_HERE))
    return (short + "-dirty" if changed else short) or "unknown"


def machine() -> str:
    """Processor, cores that this process may use, memory."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{_processor()}, {os.process_cpu_count()} cores, {memory_gib:.1f} GiB"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, "") or platform.processor() or platform.machine()


def packages(environment: Path) -> dict[str, str]:
    """The package versions of each consumer of PACKAGES in a virtual environment, as in `saq 0.26.2, redis 7.1.0`."""
    folders = [str(folder) for folder in environment.glob("lib/python3*/site-packages")]
    versions = {package.name.lower(): package.version for package in distributions(path=folders)}
    return {consumer: _joined(names, versions) for consumer, names in PACKAGES.items()}


def _joined(names: Iterable[str], versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {versions[name]}" for name in names if name in versions)
