"""The site of the documentation: `docs/build` runs this module, which runs mkdocs in an environment of its own.

mkdocs also imports this module, as its hook: the pages of the project's folder (README.md and so on) become pages of
the site, and links between them and docs/ are turned accordingly.
"""

import os
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ROOT_PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
"""In the site `README.md` is `readme.md`: docs/index.md is the first page."""
ENVIRONMENT = ".venv-docs"


def on_files(files: Any, config: Any) -> Any:
    """mkdocs' event: adds the pages of the project's folder."""
    from mkdocs.structure.files import File  # type: ignore[import-not-found]

    for name in ROOT_PAGES:
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, _in_site(name), content=re.sub(r"(\]\(|\")docs/", r"\1", text)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """mkdocs' event: links to the project's folder lead to its pages in the site; to a file of the code, to nothing."""
    for name in ROOT_PAGES:
        markdown = re.sub(rf"\]\((?:\.\./)?{re.escape(name)}(#[^)]*)?\)", rf"]({_in_site(name)}\1)", markdown)
    return re.sub(r"\[([^]]+)\]\((?:\.\./)?(?:shared|tests|local|infra|bench)/[^)]*\)", r"`\1`", markdown)


def _in_site(name: str) -> str:
    return name.lower() if name == "README.md" else name


if __name__ == "__main__":
    command = sys.argv[1:] or ["build", "--strict"]
    mkdocs = ROOT / ENVIRONMENT / "bin" / "mkdocs"
    os.chdir(ROOT)
    os.execv(mkdocs, [str(mkdocs), *command])  # noqa: S606 (exec without a shell is intended)
