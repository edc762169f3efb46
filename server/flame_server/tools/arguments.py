"""Arguments as models send them: other names for the same thing, and values that no tool answers."""

import difflib
import logging
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from fastmcp.exceptions import ToolError

from flame_server.settings import MAX_LIMIT, MAX_TOKENS, MIN_TOKENS, Settings

MAX_QUERY_CHARS = 512
MAX_PATH_CHARS = 300
# Seen from models that remember another server's tool.
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
    """A caller's mistake: answered, counted, and nothing for the log of the server."""
    return ToolError(text, log_level=logging.DEBUG)


def renamed(arguments: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """The arguments under the names that a tool knows; a name that says nothing to it stays as it is."""
    meant = {alias: name for name, aliases in ALIASES.items() if name in known for alias in aliases}
    named = {name: value for name, value in arguments.items() if name in known}
    for name, value in arguments.items():
        if name not in known:
            target = meant.get(name, name)
            named.setdefault(target if target not in arguments else name, value)
    return named


def checked_query(query: str) -> str:
    """A query that is worth searching for.

    Raises:
        ToolError: What is wrong, in words for the model that called; as with all of this module.
    """
    if not query.strip():
        raise mistake("query is empty: say what to look for")
    if len(query) > MAX_QUERY_CHARS:
        raise mistake(
            f"query has {len(query)} characters, the limit is {MAX_QUERY_CHARS}: give the essential words"
        )
    return query


def checked_limit(limit: int | None, settings: Settings) -> int:
    """How many passages to give."""
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
    """Refuses a value that is none of the known ones."""
    if value is not None and value not in known:
        raise mistake(f"there is no {name} {value[:80]!r}: give one of {', '.join(known)}, or leave it out")


def closest(wanted: str, known: Sequence[str]) -> str:
    """The known ones that are most like the wanted one, in words for an error."""
    # Every common character counts, so a hostile text must not be long.
    found = difflib.get_close_matches(wanted[:100], known, n=3, cutoff=0.5)
    last = wanted.rsplit("/", 1)[-1]
    found += [name for name in known if last and last in name and name not in found][: 3 - len(found)]
    return f"the closest are {', '.join(found)}" if found else "list_flame_docs lists those there are"
