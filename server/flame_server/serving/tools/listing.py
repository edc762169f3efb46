"""The tool `list_flame_docs`: the versions, sections and pages of the docs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from pydantic import BaseModel, Field

from flame_server.search.pages import PageEntry
from flame_server.search.results import NOTE
from flame_server.search.service import SearchService
from flame_server.serving.tools.arguments import check_known, checked_tokens, mistake
from flame_server.serving.tools.budget import Count, leading, size
from flame_server.serving.tools.cursors import Cursor, foreign_cursor, key_of, read_cursor
from flame_server.serving.tools.worker import in_worker
from flame_server.settings import Settings
from flame_server.text.names import bounded

_MOST_VERSIONS = 20
_MOST_NAMES = 160
_FEW = 20
_TRIES = 6


class ListedPage(BaseModel):
    """A page of the docs."""

    path: Annotated[str, Field(description="What get_flame_page takes")]
    title: str
    url: str


class Listing(BaseModel):
    """The versions, sections and pages of the docs."""

    note: Annotated[str, Field(description="What the texts below are")] = NOTE
    version: str
    versions: list[str]
    sections: Annotated[
        dict[str, int], Field(description="Parts of the docs with their number of pages, each named once")
    ]
    pages: list[ListedPage]
    next_cursor: Annotated[str | None, Field(description="Give it as cursor for what comes next")] = None


async def listing(  # noqa: PLR0913, PLR0917 - the tool's arguments
    searcher: SearchService,
    settings: Settings,
    version: str | None,
    section: str | None,
    max_tokens: int | None,
    cursor: str | None,
) -> Listing:
    """The list for one call.

    Raises:
        ToolError: What is wrong with the arguments.
        UnavailableError: The index cannot be reached now.
    """
    budget, place = checked_tokens(max_tokens, settings), read_cursor(cursor)
    check_known("version", version, searcher.versions)
    check_known("section", section, searcher.groups)
    about = searcher.about(version)
    key = key_of("list", about["version"], section, about["generation"])
    if place:
        place.check(key)
    pages = await searcher.pages(about["version"])
    versions = [about["version"], *(one for one in searcher.versions if one != about["version"])]
    asked = _Asked(key, budget, section, place.number if place else 0, place.at if place else 0)
    return await in_worker(partial(_made, asked, versions, pages, searcher.count_tokens))


@dataclass(frozen=True)
class _Asked:
    """What part of the list is asked for: from which page and which section on."""

    key: str
    budget: int
    section: str | None
    page: int
    section_number: int


def _made(asked: _Asked, versions: Sequence[str], pages: Sequence[PageEntry], count: Count) -> Listing:
    """The part of the list that fits into the budget. Takes some milliseconds, so it runs in a thread."""
    sections = sorted(Counter(page.group for page in pages).items())
    entries = [page for page in pages if asked.section in (None, page.group)]
    if asked.page > len(entries) or asked.section_number > len(sections):
        raise foreign_cursor()
    room = asked.budget
    for _ in range(_TRIES):
        listing = _listing(asked, versions, sections, entries, room, count)
        over = size(listing, count) - asked.budget
        if over <= 0:
            return listing
        # Counts of parts only almost add up.
        room -= over
    raise mistake("max_tokens is too small for this list: give more")


def _listing(  # noqa: PLR0913, PLR0917 - the parts of the list
    asked: _Asked,
    versions: Sequence[str],
    sections: Sequence[tuple[str, int]],
    entries: Sequence[PageEntry],
    room: int,
    count: Count,
) -> Listing:
    longest = str(Cursor(asked.key, len(entries), len(sections)))
    told = Listing(version=versions[0], versions=[], sections={}, pages=[], next_cursor=longest)
    left = room - size(told, count)
    named = [f'"{version}",' for version in versions[:_MOST_VERSIONS]]
    kept_versions = versions[: leading(named, left // 4, count)]
    left -= sum(map(count, named[: len(kept_versions)]))
    # Sections first: whoever reads on gets those that are missing, and then the pages.
    rest = sections[asked.section_number :]
    counted = [f'"{name}":{pages},' for name, pages in rest]
    kept_sections = leading(counted, left if asked.page == 0 and len(rest) > _FEW else left // 2, count)
    left -= sum(map(count, counted[:kept_sections]))
    last_section = asked.section_number + kept_sections
    kept: list[ListedPage] = []
    last = asked.page
    if last_section == len(sections):
        for entry in entries[asked.page :]:
            page = _page(entry, count)
            left -= count(page.model_dump_json()) + 1
            if left < 0:
                break
            kept.append(page)
            last += 1
    done = last == len(entries) and last_section == len(sections)
    if not done and not kept and not kept_sections:
        raise mistake("max_tokens is too small for this list: give more")
    return Listing(
        version=versions[0],
        versions=list(kept_versions),
        sections=dict(rest[:kept_sections]),
        pages=kept,
        next_cursor=None if done else str(Cursor(asked.key, last, last_section)),
    )


def _page(entry: PageEntry, count: Count) -> ListedPage:
    """The page as it is listed: with a shorter title, or without address, when its names are very long."""
    page = ListedPage(path=entry.path, title=entry.title, url=entry.url)
    if size(page, count) > _MOST_NAMES:
        page = page.model_copy(update={"title": bounded(page.title, 60)})
    if size(page, count) > _MOST_NAMES:
        page = page.model_copy(update={"title": bounded(page.title, 30), "url": ""})
    return page
