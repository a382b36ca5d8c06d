"""The site of the documents: links lead to its own pages, and no page needs another host."""

import re
from pathlib import Path

import pytest

from local.repo import site

ROOT = Path(__file__).parents[3]


def test_a_page_of_the_project_s_folder_links_to_the_pages_beside_it() -> None:
    picture = '<a href="docs/monitor.md"><img src="docs/images/a.png" align="right" width="300"></a>'
    assert site.root_page(f"{picture}\n\nSee [keys](docs/keys.md#a).") == "See [keys](keys.md#a)."


@pytest.mark.parametrize(
    ("markdown", "in_site"),
    [
        ("[start](../README.md#start)", "[start](readme.md#start)"),
        ("[threats](../SECURITY.md)", "[threats](SECURITY.md)"),
        ("[code](../shared/app.py)", "`code`"),
        ("[keys](keys.md)", "[keys](keys.md)"),
    ],
)
def test_links_lead_to_pages_of_the_site_or_to_nothing(markdown: str, in_site: str) -> None:
    assert site.on_page_markdown(markdown) == in_site


def test_only_pages_with_diagrams_load_their_library_and_before_the_theme_looks_for_it() -> None:
    page = '<head></head><body><pre class="mermaid"></pre><script src="assets/javascripts/bundle.js"></script></body>'
    loaded = re.findall(r'<script src="([^"]+)"', site.on_post_page(page))
    assert loaded == [site.MERMAID_FILE, "assets/javascripts/bundle.js"]
    assert site.on_post_page("<head></head>") == "<head></head>"


def test_a_library_that_is_not_the_pinned_one_ends_the_build_and_is_not_kept(tmp_path: Path) -> None:
    other = tmp_path / "mermaid.min.js"
    other.write_bytes(b"alert(1)")
    with pytest.raises(SystemExit, match="checksum"):
        site.mermaid(other)
    assert not other.exists()


def test_without_npm_the_build_ends_with_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match=r"mermaid@[\d.]+ from npm"):
        site.mermaid(tmp_path / "none.js")


def test_the_site_names_every_document_and_no_other_host_for_fonts() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = set(re.findall(r": (\S+\.md)$", text, re.MULTILINE))
    documents = {page.name for page in (ROOT / "docs").glob("*.md")}
    assert named == documents | {"readme.md", *site.ROOT_PAGES} - {"README.md"}
    assert "font: false" in text
