"""The tool `get_flame_knowledge`: passages that answer a query."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from flame_server.search.results import IndexInfo, Knowledge, Result, index_info, results
from flame_server.search.service import Answer, Found, SearchService
from flame_server.serving.tools.arguments import check_known, checked_limit, checked_query, checked_tokens
from flame_server.serving.tools.budget import Content, Count, Place, fitted, most_names, shortest, size
from flame_server.serving.tools.cursors import Cursor, foreign_cursor, key_of, read_cursor
from flame_server.serving.tools.worker import in_worker
from flame_server.settings import Settings
from flame_server.text.names import bounded

# Cursors end here: later results have hardly anything to do with the query.
DEEPEST = 100
_MOST_VERSIONS = 20
_LEAST_INFO = 170
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
    request = _Request(key, budget, first, last, place.at if place else 0)
    made = await in_worker(partial(_made, request, answer, index, searcher.count_tokens))
    # The query itself may be private, so only its length is logged.
    _log.info(
        "search",
        query_chars=len(query),
        results=len(made.results),
        degraded=answer.degraded,
        milliseconds=round((time.monotonic() - started) * 1000, 1),
    )
    return made


@dataclass(frozen=True)
class _Request:
    """What part of an answer is asked for.

    Attributes:
        key: Of its cursors.
        budget: In tokens.
        first: The number of the first passage.
        last: The number after the last passage.
        at: The character of the first passage to begin with.
    """

    key: str
    budget: int
    first: int
    last: int
    at: int


def _made(request: _Request, answer: Answer, index: Mapping[str, Any], count: Count) -> Knowledge:
    """The passages that fit into the budget. Takes some milliseconds, so it runs in a thread."""
    found = answer.found[request.first : request.last]
    if request.at and not (found and request.at < len(found[0].chunk.content)):
        raise foreign_cursor()
    described = [_described(hit, most_names(request.budget), count) for hit in found]
    # A page whose names alone would fill the answer is left out; its number still counts for cursors.
    told = [(number, result, names) for number, (result, names) in enumerate(described) if result]
    contents = [
        Content(found[number].chunk.content, found[number].chunk.tokens, names) for number, _, names in told
    ]
    info = shortest(_infos(index), max(request.budget // 4, _LEAST_INFO), count)
    more = len(answer.found) > request.last < DEEPEST

    def made(kept: list[str], stopped: Place | None) -> Knowledge:
        following = None
        if stopped:
            number = told[stopped.number][0] if stopped.number < len(told) else len(found)
            following = Cursor(request.key, request.first + number, stopped.at)
        elif more:
            following = Cursor(request.key, request.last, 0)
        return Knowledge(
            results=[
                result.model_copy(update={"content": text})
                for (_, result, _), text in zip(told, kept, strict=False)
            ],
            truncated=stopped is not None,
            next_cursor=str(following) if following else None,
            degraded=answer.degraded,
            index=info,
        )

    at = request.at if told and told[0][0] == 0 else 0
    return fitted(contents, request.budget, count, at, made)


def _described(hit: Found, most: int, count: Count) -> tuple[Result | None, int]:
    """A result without its content, and what its names take in tokens; None when they take too many."""
    for result in _results(hit):
        if (names := size(result, count)) <= most:
            return result, names
    return None, 0


def _results(hit: Found) -> Iterator[Result]:
    """A result without its content, each time with shorter names."""
    (result,) = results([hit], [""])
    yield result
    shorter = [bounded(name, 60) for name in result.breadcrumb[-2:]]
    yield result.model_copy(update={"id": "", "title": bounded(result.title, 60), "breadcrumb": shorter})
    least = {"id": "", "title": bounded(result.title, 30), "breadcrumb": []}
    yield result.model_copy(update={**least, "url": result.url.partition("#")[0]})
    yield result.model_copy(update={**least, "url": ""})


def _infos(index: Mapping[str, Any]) -> Iterator[IndexInfo]:
    """What was searched, each time in fewer words."""
    info = index_info(index)
    yield info
    yield info.model_copy(update={"versions": info.versions[:_MOST_VERSIONS]})
    names = {name: bounded(getattr(info, name) or "", 30) for name in ("revision", "generation", "embedding")}
    yield info.model_copy(update={"versions": [info.version], **names})
