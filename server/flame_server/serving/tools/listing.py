"""The tool `list_flame_docs`: the versions, sections and pages of the docs."""

from collections import Counter
from typing import Annotated

from pydantic import BaseModel, Field

from flame_server.search.service import SearchService
from flame_server.serving.tools.arguments import check_known, checked_tokens
from flame_server.serving.tools.cursors import Cursor, foreign_cursor, key_of, read_cursor
from flame_server.settings import Settings


class ListedPage(BaseModel):
    """A page of the docs."""

    path: Annotated[str, Field(description="What get_flame_page takes")]
    title: str
    url: str


class Listing(BaseModel):
    """The versions, sections and pages of the docs."""

    version: str
    versions: list[str]
    sections: Annotated[dict[str, int], Field(description="Parts of the docs with their number of pages")]
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
    pages = await searcher.pages(about["version"])
    listed = [
        ListedPage(path=page.path, title=page.title, url=page.url)
        for page in pages
        if section in (None, page.group)
    ]
    first = 0
    if place:
        place.check(key)
        first = place.number
        if first >= len(listed):
            raise foreign_cursor()
    kept: list[ListedPage] = []
    for page in listed[first:]:
        budget -= searcher.count_tokens(page.model_dump_json())
        if kept and budget < 0:
            break
        kept.append(page)
    last = first + len(kept)
    return Listing(
        version=about["version"],
        versions=list(searcher.versions),
        sections=dict(sorted(Counter(page.group for page in pages).items())),
        pages=kept,
        next_cursor=str(Cursor(key, last, 0)) if last < len(listed) else None,
    )
