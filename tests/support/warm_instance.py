"""An instance of the app that does nothing but keep charts warm, as a process that a test can kill:
`python -m tests.support.warm_instance`, with the settings in its environment."""

import asyncio

from shared.app import current_app
from shared.charts.refresher import Refresher


async def main() -> None:
    app = current_app()
    print("ready", flush=True)  # noqa: T201 (to the test)
    await Refresher().run(app)


if __name__ == "__main__":
    asyncio.run(main())
