#!/usr/bin/env python3
"""The operators' command line: `python3 manage.py --help`. Any Python starts it; it goes on in the project's own."""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    from local.repo.bootstrap import ROOT, SetUpError, answer_help, prepare

    answer_help(ROOT, ["manage.py", *sys.argv[1:]])
    try:
        python = prepare(ROOT)
    except SetUpError as error:
        sys.exit(str(error))
    if Path(sys.prefix).resolve() != python.parents[1].resolve():
        os.execv(python, [str(python), __file__, *sys.argv[1:]])  # noqa: S606 (exec without a shell is intended)
    from cli.app import main

    main()
