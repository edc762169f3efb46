"""`flame-mcp serve`: runs the search server."""

from typing import TYPE_CHECKING, Literal

import click

from flame_server.commands.common import configured, plain_errors, report

if TYPE_CHECKING:
    from flame_server.settings import Settings


@click.command()
@click.option("--transport", type=click.Choice(["http", "stdio"]), default="http", show_default=True)
@click.option("--source", help="Docs to build an index from first, if there is none (see index build).")
@plain_errors
def serve(transport: Literal["http", "stdio"], source: str | None) -> None:
    """Serve the index in $FLAME_MCP_INDEX_DIR; every setting is a variable FLAME_MCP_*.

    Without that variable and an index, one of Flame's own docs is built in the user's cache first.
    """
    settings, credentials = configured()
    from flame_server.serving import server  # noqa: PLC0415

    if settings.vector_store_type == "Embedded" and (source or "index_dir" not in settings.model_fields_set):
        _build_first_index(settings, source)
    if transport == "stdio":
        server.serve_stdio(settings, credentials)
    else:
        server.serve_http(settings, credentials)


def _build_first_index(settings: "Settings", source: str | None) -> None:
    from flame_server.index.first_build import build_first_index  # noqa: PLC0415

    build_first_index(
        settings.index_dir,
        source,
        vectors=settings.embedding_type != "None",
        report=report,
    )
