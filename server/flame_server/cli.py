"""The command line: `flame-mcp`. Heavy modules are imported by the command that needs them."""

import json
import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, ParamSpec, TypeVar

import click

from flame_server.errors import FlameMcpError

if TYPE_CHECKING:
    from flame_server.search import Searcher

P = ParamSpec("P")
R = TypeVar("R")
_DEFAULT_PORT = 8_000
_index_option = click.option(
    "--index",
    "index",
    type=click.Path(path_type=Path),
    envvar="FLAME_MCP_INDEX_DIR",
    required=True,
    help="Folder of an index.",
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _plain_errors(function: Callable[P, R]) -> Callable[P, R]:
    """Turns what the user can act on into one line on standard error and an exit code."""

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except FlameMcpError as error:
            _fail(str(error), 1)

    return wrapper


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"error: {message}", err=True)
    sys.exit(code)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="flame-mcp")
def main() -> None:
    """Answers questions about the Flame game engine from its docs, over the Model Context Protocol."""


@main.command()
@click.option("--transport", type=click.Choice(["http", "stdio"]), default="http", show_default=True)
@_plain_errors
def serve(transport: Literal["http", "stdio"]) -> None:
    """Serve the index in $FLAME_MCP_INDEX_DIR; every setting is a variable FLAME_MCP_*."""
    from flame_server.settings import SettingsError, load_settings  # noqa: PLC0415

    try:
        settings = load_settings()
    except SettingsError as error:
        _fail(str(error), 2)
    from flame_server import serve as server  # noqa: PLC0415

    if transport == "stdio":
        server.serve_stdio(settings)
    else:
        server.serve_http(settings)


@main.group()
def index() -> None:
    """Build and check an index."""


@index.command()
@click.option("--source", required=True, help="A folder of markdown, a Flame checkout, or a git URL.")
@click.option("--ref", help="Branch, tag or commit of a git URL.")
@click.option("--path", help="Folder of the pages inside the source (default: doc, when there is one).")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the index.")
@click.option("--embedding", type=click.Choice(["local", "none"]), default="local", show_default=True)
@click.option("--version", default="latest", show_default=True, help="Docs version that links point to.")
@_plain_errors
def build(  # noqa: PLR0913, PLR0917 - one argument an option, passed by name
    source: str,
    ref: str | None,
    path: str | None,
    out: Path,
    embedding: Literal["local", "none"],
    version: str,
) -> None:
    """Build an index; the one in --out is replaced when the new one is complete."""
    from flame_server.index.build import build_index  # noqa: PLC0415

    manifest = build_index(
        source,
        out,
        ref=ref,
        path=path,
        embedding=embedding,
        version=version,
        report=lambda line: click.echo(line, err=True),
    )
    skipped = f", {manifest.skipped} pages skipped" if manifest.skipped else ""
    click.echo(f"index ready in {out}: {manifest.documents} pages, {manifest.chunks} chunks{skipped}")


@index.command()
@_index_option
@_json_option
@_plain_errors
def verify(index: Path, as_json: bool) -> None:
    """Check that an index is complete, undamaged and searchable."""
    from flame_server.index.verify import verify_index  # noqa: PLC0415

    summary = verify_index(index)
    if as_json:
        click.echo(json.dumps(summary))
        return
    for key, value in summary.items():
        click.echo(f"{key:<12}{value}")


@main.command()
@_index_option
@_json_option
@click.option("--limit", type=click.IntRange(1, 100), default=5, show_default=True)
@click.argument("query")
@_plain_errors
def search(index: Path, as_json: bool, limit: int, query: str) -> None:
    """Search an index."""
    if not query.strip():
        raise click.UsageError("the query is empty")
    searcher = _open(index)
    from flame_server.results import knowledge  # noqa: PLC0415

    found = knowledge(searcher.search(query, limit), searcher.manifest.summary(), None, len).model_dump()
    _print_answer(found, as_json)


@main.command()
@_index_option
@click.option(
    "--queries", type=click.Path(path_type=Path), required=True, help="JSON lines: query, gold, kind."
)
@_json_option
@_plain_errors
def evaluate(index: Path, queries: Path, as_json: bool) -> None:
    """Measure an index with questions whose answers are known."""
    from flame_server import evaluate as evaluation  # noqa: PLC0415

    questions = evaluation.read_questions(queries)
    report = evaluation.evaluate(_open(index).search, questions)
    click.echo(json.dumps(report.as_dict()) if as_json else evaluation.as_table(report))


@main.command()
@click.option("--url", required=True, help="Address of the server, e.g. http://localhost:8000/mcp")
@click.option("--limit", type=click.IntRange(1, 20), help="Passages (default: the server's).")
@_json_option
@click.argument("question")
@_plain_errors
def ask(url: str, limit: int | None, as_json: bool, question: str) -> None:
    """Ask a running server as an MCP client."""
    from flame_server.client import ask as ask_server  # noqa: PLC0415

    _print_answer(ask_server(url, question, limit), as_json)


@main.command()
@click.option("--port", type=click.IntRange(1, 65_535), envvar="FLAME_MCP_PORT", default=_DEFAULT_PORT)
@_plain_errors
def healthcheck(port: int) -> None:
    """Exit with 0 when the server on this machine is ready (for a container's HEALTHCHECK)."""
    from flame_server.client import check_health  # noqa: PLC0415

    check_health(port)


def _open(folder: Path) -> "Searcher":
    from flame_server.search import open_searcher  # noqa: PLC0415

    kind = os.environ.get("FLAME_MCP_EMBEDDING_TYPE", "Local")
    if kind not in ("Local", "None"):
        _fail(f"FLAME_MCP_EMBEDDING_TYPE: give Local or None, not {kind!r}", 2)
    return open_searcher(folder, "None" if kind == "None" else "Local")


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
