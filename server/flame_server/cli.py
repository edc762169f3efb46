"""The command line: `flame-mcp`. Heavy modules are imported by the command that needs them."""

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

import click

from flame_server.cli_common import configured, plain_errors, report
from flame_server.cli_index import index, index_option, json_option
from flame_server.cli_snapshots import snapshot_commands
from flame_server.errors import FlameMcpError

if TYPE_CHECKING:
    from flame_server.search import Answer, Searcher
    from flame_server.settings import Settings

_DEFAULT_PORT = 8_000


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="flame-mcp-server")
def main() -> None:
    """Answers questions about the Flame game engine from its docs, over the Model Context Protocol."""


main.add_command(index)
snapshot_commands(index)


@main.command()
@click.option("--transport", type=click.Choice(["http", "stdio"]), default="http", show_default=True)
@click.option("--source", help="Docs to make an index of first, if there is none (see index build).")
@plain_errors
def serve(transport: Literal["http", "stdio"], source: str | None) -> None:
    """Serve the index in $FLAME_MCP_INDEX_DIR; every setting is a variable FLAME_MCP_*.

    Without that variable and an index, one of Flame's own docs is made in the user's cache first.
    """
    settings, credentials = configured()
    from flame_server import serve as server  # noqa: PLC0415

    if settings.vector_store_type == "Embedded" and (source or "index_dir" not in settings.model_fields_set):
        _make_first_index(settings, source)
    if transport == "stdio":
        server.serve_stdio(settings, credentials)
    else:
        server.serve_http(settings, credentials)


@main.command()
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
    from flame_server.results import whole  # noqa: PLC0415

    with _opened(index) as (searcher, ask_index):
        if version is not None and version not in searcher.versions:
            raise FlameMcpError(
                f"there is no version {version!r}: give one of {', '.join(searcher.versions)}"
            )
        found = whole(ask_index(query, limit, version=version), searcher.about(version))
    _print_answer(found.model_dump(), as_json)


@main.command()
@index_option
@click.option(
    "--queries", type=click.Path(path_type=Path), required=True, help="JSON lines: query, gold, kind."
)
@json_option
@plain_errors
def evaluate(index: Path, queries: Path, as_json: bool) -> None:
    """Measure an index with questions whose answers are known."""
    from flame_server import evaluate as evaluation  # noqa: PLC0415

    questions = evaluation.read_questions(queries)
    with _opened(index) as (_, ask_index):
        report = evaluation.evaluate(ask_index, questions)
    click.echo(json.dumps(report.as_dict()) if as_json else evaluation.as_table(report))


@main.command()
@click.option("--url", required=True, help="Address of the server, e.g. http://localhost:8000/mcp")
@click.option("--limit", type=click.IntRange(1, 20), help="Passages (default: the server's).")
@click.option("--token-file", type=click.File(), help="File with the token of a server that asks for one.")
@click.option("--wait", type=click.IntRange(0), default=0, help="Seconds to go on while nobody answers.")
@json_option
@click.argument("question")
@plain_errors
def ask(  # noqa: PLR0913, PLR0917 - its options
    url: str, limit: int | None, token_file: TextIO | None, wait: int, as_json: bool, question: str
) -> None:
    """Ask a running server as an MCP client."""
    from flame_server.client import ask as ask_server  # noqa: PLC0415

    token = token_file.read().strip() if token_file else None
    _print_answer(ask_server(url, question, limit, token, wait=wait), as_json)


@main.command()
@json_option
@plain_errors
def check(as_json: bool) -> None:
    """Try every connection with the settings that serve would have, and say what to do about failures."""
    settings, credentials = configured()
    from flame_server.check import as_table, run_checks  # noqa: PLC0415
    from flame_server.logs import configure_logging  # noqa: PLC0415

    # What goes wrong is said once, in the table.
    configure_logging("error", "text")
    steps = run_checks(settings, credentials)
    click.echo(json.dumps([step.as_dict() for step in steps]) if as_json else as_table(steps))
    if any(step.status == "failed" for step in steps):
        sys.exit(1)


@main.command()
@click.option("--port", type=click.IntRange(1, 65_535), envvar="FLAME_MCP_PORT", default=_DEFAULT_PORT)
@plain_errors
def healthcheck(port: int) -> None:
    """Exit with 0 when the server on this machine is ready (for a container's HEALTHCHECK)."""
    from flame_server.client import check_health  # noqa: PLC0415

    check_health(port)


def _make_first_index(settings: "Settings", source: str | None) -> None:
    from flame_server.index.first import build_first_index  # noqa: PLC0415

    build_first_index(
        settings.index_dir,
        source,
        vectors=settings.embedding_type != "None",
        report=report,
    )


@contextmanager
def _opened(folder: Path) -> "Iterator[tuple[Searcher, Callable[..., Answer]]]":
    """An index with the settings that it would be served with, and a function that asks it."""
    settings, credentials = configured()
    from flame_server.embedding.choice import embedding_of  # noqa: PLC0415
    from flame_server.search import open_searcher  # noqa: PLC0415

    with asyncio.Runner() as runner:
        searcher = open_searcher(folder, embedding_of(settings, credentials))
        try:
            yield searcher, lambda *args, **kwargs: runner.run(searcher.answer(*args, **kwargs))
        finally:
            runner.run(searcher.close())


def _print_answer(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(answer, ensure_ascii=False))
        return
    if answer.get("degraded"):
        click.echo("(matched by words only)\n")
    for number, result in enumerate(answer["results"], 1):
        click.echo(f"{number}. {' > '.join(result['breadcrumb'])}  [{result['score']:.2f}]")
        click.echo(f"   {result['url']}\n")
        click.echo("\n".join(f"   {line}" for line in result["content"].split("\n")) + "\n")
    if not answer["results"]:
        click.echo("nothing found")
