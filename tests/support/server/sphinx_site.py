"""Docs built as docs.flame-engine.org builds them, and what the built pages hold."""

import subprocess
import sys
from pathlib import Path

from bs4 import BeautifulSoup

_CONF = Path(__file__).parent / "site_conf"


def build_site(docs: Path, out: Path) -> Path:
    """Builds the pages in `docs` into `out`: 12 s for all of Flame's on one core."""
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", "-c", str(_CONF)]
    done = subprocess.run(
        [*command, str(docs), str(out)], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return out


class SitePages:
    """The built pages' ids, and the headings of their sections."""

    def __init__(self, site: Path) -> None:
        self._site = site
        self._pages: dict[str, tuple[set[str], dict[str, str]] | None] = {}

    def ids(self, page: str) -> set[str] | None:
        """All ids of `flame/camera.html`; None when there is no such page."""
        found = self._page(page)
        return found[0] if found else None

    def heading(self, page: str, anchor: str) -> str | None:
        """The text of the heading of the section with this id."""
        found = self._page(page)
        return found[1].get(anchor) if found else None

    def _page(self, page: str) -> tuple[set[str], dict[str, str]] | None:
        if page not in self._pages:
            path = self._site / page
            self._pages[page] = self._read(path) if path.is_file() else None
        return self._pages[page]

    def _read(self, path: Path) -> tuple[set[str], dict[str, str]]:
        html = BeautifulSoup(path.read_text("utf-8"), "html.parser")
        headings: dict[str, str] = {}
        for section in html.find_all("section"):
            heading = section.find(["h1", "h2", "h3", "h4", "h5", "h6"], recursive=False)
            if heading:
                for link in heading.find_all("a", class_="headerlink"):
                    link.decompose()
                text = " ".join(heading.get_text().split())
                # A section with an explicit target has its heading's id on a mark of its own.
                marks = [mark for mark in section.find_all("span", recursive=False) if mark.get("id")]
                headings |= {str(tag["id"]): text for tag in [section, *marks]}
        return {str(tag["id"]) for tag in html.find_all(id=True)}, headings
