"""Write tests/reading/cases/*.json. README.md beside them tells how to run this."""

import importlib
import os
import sys

THEMES = (
    "dataframes",
    "times",
    "codings",
    "envelopes",
    "services",
    "databases",
    "monitoring",
    "publicapis",
    "devices",
    "charts",
    "chartforms",
    "nodelibs",
    "shapes",
    "platforms",
    "columns",
    "refusals",
    "traps",
    "lookalikes",
    "products",
)


def main(names: list[str]) -> None:
    os.environ["TZ"] = "UTC"
    total = 0
    for name in names or THEMES:
        count = importlib.import_module(name).build().write()
        total += count
        sys.stdout.write(f"{count:4d} {name}\n")
    sys.stdout.write(f"{total:4d} in all\n")


if __name__ == "__main__":
    main(sys.argv[1:])
