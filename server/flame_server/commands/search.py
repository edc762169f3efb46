"""`flame-mcp search`: searches an index in a folder, without a server."""

from pathlib import Path

import click

from flame_server.commands.common import (
    index_option,
    json_option,
    opened_index,
    plain_errors,
    print_answer,
)
from flame_server.errors import FlameMcpError


@click.command()
@index_option
@json_option
@click.option("--limit", type=click.IntRange(1, 100), default=5, show_default=True)
@click.option("--version", help="Docs version (default: the index's first).")
@click.argument("query")
@plain_errors
def search(index: Path, as_json: bool, limit: int, version: str | None, query: str) -> None:
    """Search an index."""
    if not query.strip():
        raise click.UsageError("the query is empty")
    from flame_server.search.results import complete_answer  # noqa: PLC0415

    with opened_index(index) as (searcher, ask_index):
        if version is not None and version not in searcher.versions:
            raise FlameMcpError(
                f"there is no version {version!r}: give one of {', '.join(searcher.versions)}"
            )
        found = complete_answer(ask_index(query, limit, version=version), searcher.about(version))
    print_answer(found.model_dump(), as_json=as_json)
