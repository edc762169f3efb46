"""Checks and cleans the arguments of tools: other names that models use, empty, long or unknown values."""

import difflib
import itertools
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from fastmcp.exceptions import ToolError

from flame_server.settings import MAX_LIMIT, MAX_TOKENS, MIN_TOKENS, Settings
from flame_server.text.names import bounded

MAX_QUERY_CHARS = 512
MAX_PATH_CHARS = 300
# A token has a byte at least, so an error keeps the smallest budget, too.
MAX_ERROR_BYTES = MIN_TOKENS
_LISTED = 20
_CANDIDATES = 500
_COMPARED_CHARS = 100
# Names that models use because they know them from tools of other servers.
ALIASES: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "query": (
            "question", "userQuery", "user_query", "q", "topic", "search", "search_query", "searchQuery",
            "search_phrase", "text", "prompt", "input", "queries",
        ),
        "max_tokens": ("maxTokens", "tokens", "token_limit", "tokenBudget", "maxTokenBudget", "max_length"),
        "limit": ("max_results", "maxResults", "num_results", "top_k", "topK", "k", "n", "count"),
        "version": ("docs_version", "docsVersion", "flame_version", "flameVersion"),
        "section": ("category", "group", "area", "heading", "anchor"),
        "path": (
            "page", "url", "uri", "file", "page_path", "pagePath", "source_path", "sourcePath", "document",
        ),
        "cursor": ("next_cursor", "nextCursor", "page_token", "pageToken"),
    }
)  # fmt: skip


def mistake(text: str) -> ToolError:
    """The error for a mistake of the caller: it is answered and counted, but not logged as a failure."""
    return ToolError(shortened(text), log_level=logging.DEBUG)


def shortened(text: str) -> str:
    """The text of an error, cut to what the smallest token budget allows, whatever names it repeats."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= MAX_ERROR_BYTES:
        return text
    return raw[: MAX_ERROR_BYTES - 3].decode("utf-8", "ignore") + "..."


def listed(names: Iterable[str]) -> str:
    """Some of these names, for an error or a description: at most 20, each cut to 60 characters."""
    told = list(itertools.islice(names, _LISTED + 1))
    more = ", ... (list_flame_docs has all)" if len(told) > _LISTED else ""
    return ", ".join(bounded(name, 60) for name in told[:_LISTED]) + more


def renamed(arguments: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """The arguments under the names that the tool knows; unknown names stay as they are."""
    meant = {alias: name for name, aliases in ALIASES.items() if name in known for alias in aliases}
    named = {name: value for name, value in arguments.items() if name in known}
    for name, value in arguments.items():
        if name not in known:
            target = meant.get(name, name)
            named.setdefault(target if target not in arguments else name, value)
    return named


def checked_query(query: str) -> str:
    """The query, unless it is empty or too long.

    Raises:
        ToolError: Explains the mistake to the calling model, like all errors of this module.
    """
    if not query.strip():
        raise mistake("query is empty: say what to look for")
    if len(query) > MAX_QUERY_CHARS:
        raise mistake(
            f"query has {len(query)} characters, the limit is {MAX_QUERY_CHARS}: give the essential words"
        )
    return query


def checked_limit(limit: int | None, settings: Settings) -> int:
    """How many passages to return."""
    if limit is None:
        return settings.default_limit
    if not 1 <= limit <= MAX_LIMIT:
        raise mistake(f"limit is {limit}: give 1 to {MAX_LIMIT}")
    return limit


def checked_tokens(max_tokens: int | None, settings: Settings) -> int:
    """How many tokens an answer may have."""
    if max_tokens is None:
        return settings.max_tokens
    if not MIN_TOKENS <= max_tokens <= MAX_TOKENS:
        raise mistake(f"max_tokens is {max_tokens}: give {MIN_TOKENS} to {MAX_TOKENS}")
    return max_tokens


def check_known(name: str, value: str | None, known: Sequence[str]) -> None:
    """Refuses a value that is not one of the known ones."""
    if value is not None and value not in known:
        raise mistake(f"there is no {name} {value[:80]!r}: give one of {listed(known)}, or leave it out")


def closest(wanted: str, known: Iterable[str]) -> str:
    """The known values most similar to the wanted one, as part of an error message.

    Takes some milliseconds, so never call it on the event loop.
    """
    last = wanted.rsplit("/", 1)[-1][:_COMPARED_CHARS]
    named = list(itertools.islice((name for name in known if last and last in name), _CANDIDATES))
    # Matching takes quadratic time in the lengths, and once for each name: so all of them are bounded.
    others = itertools.islice(known, _CANDIDATES - len(named))
    candidates = {name[:_COMPARED_CHARS]: name for name in [*others, *named]}
    similar = difflib.get_close_matches(wanted[:_COMPARED_CHARS], candidates, n=3, cutoff=0.5)
    found = [candidates[name] for name in similar]
    found += [name for name in named if name not in found][: 3 - len(found)]
    return f"the closest are {listed(found)}" if found else "list_flame_docs lists those there are"
