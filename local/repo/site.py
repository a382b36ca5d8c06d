"""The site of the documentation: `docs/build` runs this module, which runs mkdocs in an environment of its own.

mkdocs also imports this module, as its hook: the pages of the project's folder (README.md and so on) become pages of
the site, and links between them and docs/ are turned accordingly. The site has all that it needs: the theme would have
each reader's browser load the library of the diagrams from another host, so the site brings it along, from npm.
"""

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ROOT_PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
"""In the site `README.md` is `readme.md`: docs/index.md is the first page."""
ENVIRONMENT = ".venv-docs"
MERMAID = "mermaid@11.17.2"
MERMAID_SHA256 = "581ed7d74bd9048d0e3a91363927d72ef22942d7722546b27f7cc29e35390eb8"
"""Of dist/mermaid.min.js in the package."""
MERMAID_FILE = "assets/mermaid.min.js"
"""In the site; and, once it was fetched, in ENVIRONMENT."""


def on_files(files: Any, config: Any) -> Any:
    """mkdocs' event: adds the pages of the project's folder, and the library of the diagrams."""
    from mkdocs.structure.files import File  # type: ignore[import-not-found]

    for name in ROOT_PAGES:
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, _in_site(name), content=root_page(text)))
    files.append(File.generated(config, MERMAID_FILE, content=mermaid(ROOT / ENVIRONMENT / MERMAID_FILE)))
    return files


def root_page(text: str) -> str:
    """A page of the project's folder for the site: links to docs/ lead to the pages beside it, and the picture that
    stands beside the text, for which the site's column is too narrow, is left out."""
    text = re.sub(r"<a [^>]*><img [^>]*align=[^>]*></a>\n+", "", text)
    return re.sub(r"(\]\(|\")docs/", r"\1", text)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """mkdocs' event: links to the project's folder lead to its pages in the site; to a file of the code, to nothing."""
    for name in ROOT_PAGES:
        markdown = re.sub(rf"\]\((?:\.\./)?{re.escape(name)}(#[^)]*)?\)", rf"]({_in_site(name)}\1)", markdown)
    return re.sub(r"\[([^]]+)\]\((?:\.\./)?(?:shared|tests|local|infra|bench)/[^)]*\)", r"`\1`", markdown)


def on_post_page(output: str, **_: Any) -> str:
    """mkdocs' event: a page with diagrams loads their library before the theme looks for it."""
    if 'class="mermaid"' not in output:
        return output
    return output.replace("</head>", f'<script src="{MERMAID_FILE}"></script></head>', 1)


def mermaid(kept: Path) -> bytes:
    """The library that draws diagrams, from the file `kept` or else by npm, which is then kept there. Ends the process
    without npm, and if the library is another than the pinned one."""
    if not kept.is_file():
        with tempfile.TemporaryDirectory() as folder:
            command = ["npm", "pack", "--silent", "--pack-destination", folder, MERMAID]
            try:
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            except (OSError, subprocess.CalledProcessError) as error:
                sys.exit(f"The diagrams need {MERMAID} from npm (Node.js), which could not be fetched: {error}")
            (archive,) = Path(folder).iterdir()
            with tarfile.open(archive) as package, package.extractfile("package/dist/mermaid.min.js") as library:  # type: ignore[union-attr]
                content = library.read()
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(content)
    content = kept.read_bytes()
    if hashlib.sha256(content).hexdigest() != MERMAID_SHA256:
        kept.unlink()
        sys.exit(f"{MERMAID} is not the file that local/repo/site.py pins by its checksum")
    return content


def _in_site(name: str) -> str:
    return name.lower() if name == "README.md" else name


if __name__ == "__main__":
    command = sys.argv[1:] or ["build", "--strict"]
    mkdocs = ROOT / ENVIRONMENT / "bin" / "mkdocs"
    os.chdir(ROOT)
    os.environ["NO_MKDOCS_2_WARNING"] = "1"  # see requirements-docs.in
    os.execv(mkdocs, [str(mkdocs), *command])  # noqa: S606 (exec without a shell is intended)
