"""Where links of pages lead, by what is known of their source."""

import pytest

from flame_server.docs.folder import Page
from flame_server.docs.site import Site, template

COMMIT = "0123abc"


@pytest.mark.parametrize(
    ("site_url", "repository", "folder", "url"),
    [
        ("https://docs.example.com/v1/", "", "", "https://docs.example.com/v1/guide/a%20b.html#top"),
        ("https://docs.example.com/{path}/", "", "", "https://docs.example.com/guide/a%20b/#top"),
        ("", "https://github.com/flame-engine/flame.git", "doc", "https://docs.flame-engine.org/latest/guide/a%20b.html#top"),
        ("", "https://github.com/me/notes.git", "doc", "https://github.com/me/notes/blob/0123abc/doc/guide/a%20b.md#top"),
        ("", "https://github.com/me/notes", ".", "https://github.com/me/notes/blob/0123abc/guide/a%20b.md#top"),
        ("", "https://gitlab.com/a/b/c.git", "d/e/", "https://gitlab.com/a/b/c/-/blob/0123abc/d/e/guide/a%20b.md#top"),
        ("", "https://git.example.com/me/notes.git", "doc", ""),
        ("", "https://github.com.example.com/me/notes.git", "doc", ""),
        ("https://docs.example.com", "https://github.com/me/notes", "doc", "https://docs.example.com/guide/a%20b.html#top"),
        ("", "", "", ""),
    ],
)  # fmt: skip
def test_the_address_of_a_page(site_url: str, repository: str, folder: str, url: str) -> None:
    links = template(site_url, repository, COMMIT, folder)
    assert Site("latest", [], links).address("guide/a b.md", "top") == url


def test_links_between_pages_follow_the_site() -> None:
    pages = [Page("a.md", "# A\n\n(there)=\n## B\n"), Page("b.md", "# B\n")]
    site = Site("latest", pages, template("https://docs.example.com"))
    for destination, url in (("a.md#there", "a.html#there"), ("there", "a.html#there")):
        found = site.resolve(destination, "b.md")
        assert found is not None
        assert found.url == f"https://docs.example.com/{url}"
        assert Site("latest", pages, "").resolve(destination, "b.md") is None
