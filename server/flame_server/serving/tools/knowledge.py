"""The tool `get_flame_knowledge`: passages that answer a query."""

import time

import structlog

from flame_server.search.results import Knowledge, index_info, results
from flame_server.search.service import SearchService
from flame_server.serving.tools.arguments import check_known, checked_limit, checked_query, checked_tokens
from flame_server.serving.tools.budget import fit
from flame_server.serving.tools.cursors import Cursor, foreign_cursor, key_of, read_cursor
from flame_server.settings import Settings

# Cursors end here: later results have hardly anything to do with the query.
DEEPEST = 100
_log = structlog.get_logger(__name__)


async def knowledge(  # noqa: PLR0913, PLR0917 - the tool's arguments
    searcher: SearchService,
    settings: Settings,
    query: str,
    version: str | None,
    section: str | None,
    limit: int | None,
    max_tokens: int | None,
    cursor: str | None,
) -> Knowledge:
    """The passages for one call.

    Raises:
        ToolError: What is wrong with the arguments.
        UnavailableError: The index cannot be reached now.
    """
    started = time.monotonic()
    query, most = checked_query(query), checked_limit(limit, settings)
    budget, place = checked_tokens(max_tokens, settings), read_cursor(cursor)
    check_known("version", version, searcher.versions)
    check_known("section", section, searcher.groups)
    first = place.number if place else 0
    if first >= DEEPEST:
        raise foreign_cursor()
    last = min(first + most, DEEPEST)
    # One more than is returned, to know whether there are more.
    answer = await searcher.answer(query, last + 1, section, version)
    index = searcher.about(version)
    key = key_of("knowledge", query, version, section, index["generation"], answer.degraded)
    if place:
        place.check(key)
    found = answer.found[first:last]
    contents = [(hit.chunk.content, hit.chunk.tokens) for hit in found]
    kept, stopped = fit(contents, budget, searcher.count_tokens, place.at if place else 0)
    following = None
    if stopped:
        following = Cursor(key, first + stopped.number, stopped.at)
    elif len(answer.found) > last and last < DEEPEST:
        following = Cursor(key, last, 0)
    # The query itself may be private, so only its length is logged.
    _log.info(
        "search",
        query_chars=len(query),
        results=len(kept),
        degraded=answer.degraded,
        milliseconds=round((time.monotonic() - started) * 1000, 1),
    )
    return Knowledge(
        results=results(found, kept),
        truncated=stopped is not None,
        next_cursor=str(following) if following else None,
        degraded=answer.degraded,
        index=index_info(index),
    )
