"""The pages as a web site, made by the real Sphinx."""

import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / ".real/docs/bin/sphinx-build"

pytestmark = pytest.mark.real


class _Loads(HTMLParser):
    """What a browser fetches to show a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        named = dict(attributes)
        if tag in ("script", "img", "iframe") and (source := named.get("src")):
            self.found.append(source)
        if tag == "link" and named.get("rel") in ("stylesheet", "icon", "preload") and (target := named.get("href")):
            self.found.append(target)


def test_the_site_is_made_without_a_warning_and_needs_no_network(tmp_path: Path) -> None:
    """Every page is reached from the first one, every link leads somewhere, nothing is loaded from elsewhere."""
    if not BUILD.exists():
        pytest.skip("Sphinx is not in .real/docs: tests/real/install brings it")
    made = subprocess.run(
        [BUILD, "-q", "-W", "--keep-going", "-c", "docs", "-d", tmp_path / "kept", ".", tmp_path / "site"],
        cwd=ROOT, capture_output=True, text=True,
    )
    assert (made.returncode, made.stderr) == (0, "")
    pages = list((tmp_path / "site").rglob("*.html"))
    names = {path.relative_to(tmp_path / "site").with_suffix("").as_posix() for path in pages}
    assert {page.relative_to(ROOT).with_suffix("").as_posix() for page in (ROOT / "docs").rglob("*.md")} <= names
    for page in pages:
        loads = _Loads()
        loads.feed(page.read_text(encoding="utf-8"))
        assert [source for source in loads.found if re.match(r"(https?:)?//", source)] == [], page.name
    assert "retrain" in (tmp_path / "site/searchindex.js").read_text(encoding="utf-8")
