"""The command line: `flame-mcp`. Heavy modules are imported by the command that needs them."""

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, ParamSpec, TextIO, TypeVar

import click

from flame_server.errors import FlameMcpError

if TYPE_CHECKING:
    from flame_server.credentials import Credentials
    from flame_server.embedding.identity import Embedder
    from flame_server.search import Answer, Searcher
    from flame_server.settings import Settings

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
@click.option("--source", help="Docs to make an index of first, if there is none (see index build).")
@_plain_errors
def serve(transport: Literal["http", "stdio"], source: str | None) -> None:
    """Serve the index in $FLAME_MCP_INDEX_DIR; every setting is a variable FLAME_MCP_*.

    Without that variable and an index, one of Flame's own docs is made in the user's cache first.
    """
    settings, credentials = _configured()
    from flame_server import serve as server  # noqa: PLC0415

    if settings.vector_store_type == "Embedded" and (source or "index_dir" not in settings.model_fields_set):
        _make_first_index(settings, source)
    if transport == "stdio":
        server.serve_stdio(settings, credentials)
    else:
        server.serve_http(settings, credentials)


@main.group()
def index() -> None:
    """Build and check an index."""


@index.command()
@click.option(
    "--source", required=True, help="A folder of markdown or of a built site, a Flame checkout, or a git URL."
)
@click.option("--ref", help="Branch, tag or commit of a git URL.")
@click.option("--path", help="Folder of the pages inside the source (default: doc, when there is one).")
@click.option(
    "--format",
    "page_format",
    type=click.Choice(["auto", "markdown", "html"]),
    default="auto",
    show_default=True,
    help="What the pages are; auto takes the HTML of a built site where there is no markdown.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the index.")
@click.option(
    "--embedding",
    type=click.Choice(["local", "none", "azure-openai", "openai"]),
    default="local",
    show_default=True,
    help="What makes the vectors; a service is set by the same variables as for serve.",
)
@click.option("--version", default="latest", show_default=True, help="Docs version that links point to.")
@click.option("--keep-versions", is_flag=True, help="Keep the other versions that the index in --out has.")
@_plain_errors
def build(  # noqa: PLR0913, PLR0917 - one argument an option, passed by name
    source: str,
    ref: str | None,
    path: str | None,
    page_format: Literal["auto", "markdown", "html"],
    out: Path,
    embedding: Literal["local", "none", "azure-openai", "openai"],
    version: str,
    keep_versions: bool,
) -> None:
    """Build an index; the one in --out is replaced when the new one is complete."""
    from flame_server.index.build import build_index  # noqa: PLC0415

    def report(line: str) -> None:
        click.echo(line, err=True)

    manifest = build_index(
        source,
        out,
        ref=ref,
        path=path,
        page_format=page_format,
        embedding=embedding if embedding in ("local", "none") else _service_embedder(embedding, report),
        version=version,
        keep_versions=keep_versions,
        report=report,
    )
    click.echo(f"index ready in {out}:")
    for known in manifest.versions:
        skipped = f", {known.skipped} pages skipped" if known.skipped else ""
        click.echo(f"{known.version}: {known.documents} pages, {known.chunks} chunks{skipped}")


@index.command()
@_index_option
@click.option("--qdrant", "url", envvar="FLAME_MCP_QDRANT_URL", required=True, help="Address of the server.")
@click.option(
    "--collection",
    envvar="FLAME_MCP_QDRANT_COLLECTION",
    default="flame-docs",
    show_default=True,
    help="Alias that servers read.",
)
@_plain_errors
def publish(index: Path, url: str, collection: str) -> None:
    """Load an index into a Qdrant server and let the alias mean it.

    FLAME_MCP_QDRANT_API_KEY_FILE and FLAME_MCP_QDRANT_CA_FILE are used as by serve; the key must be one that
    may write.
    """
    settings, credentials = _configured(
        vector_store_type="Qdrant", qdrant_url=url, qdrant_collection=collection
    )
    from flame_server.opening import qdrant_target  # noqa: PLC0415
    from flame_server.qdrant.publish import publish_index  # noqa: PLC0415

    target = qdrant_target(settings, credentials)
    name = publish_index(index, target, lambda line: click.echo(line, err=True))
    click.echo(f"published {name} as {collection}")


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
@click.option("--version", help="Docs version (default: the index's first).")
@click.argument("query")
@_plain_errors
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
    with _opened(index) as (_, ask_index):
        report = evaluation.evaluate(ask_index, questions)
    click.echo(json.dumps(report.as_dict()) if as_json else evaluation.as_table(report))


@main.command()
@click.option("--url", required=True, help="Address of the server, e.g. http://localhost:8000/mcp")
@click.option("--limit", type=click.IntRange(1, 20), help="Passages (default: the server's).")
@click.option("--token-file", type=click.File(), help="File with the token of a server that asks for one.")
@_json_option
@click.argument("question")
@_plain_errors
def ask(url: str, limit: int | None, token_file: TextIO | None, as_json: bool, question: str) -> None:
    """Ask a running server as an MCP client."""
    from flame_server.client import ask as ask_server  # noqa: PLC0415

    token = token_file.read().strip() if token_file else None
    _print_answer(ask_server(url, question, limit, token), as_json)


@main.command()
@_json_option
@_plain_errors
def check(as_json: bool) -> None:
    """Try every connection with the settings that serve would have, and say what to do about failures."""
    settings, credentials = _configured()
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
@_plain_errors
def healthcheck(port: int) -> None:
    """Exit with 0 when the server on this machine is ready (for a container's HEALTHCHECK)."""
    from flame_server.client import check_health  # noqa: PLC0415

    check_health(port)


def _configured(**options: str) -> "tuple[Settings, Credentials]":
    """The settings and credentials of this process; ends it when they cannot be used. Options go first."""
    from flame_server.credentials import load_credentials  # noqa: PLC0415
    from flame_server.settings import SettingsError, load_settings  # noqa: PLC0415

    try:
        settings = load_settings(**options)
        return settings, load_credentials(settings)
    except SettingsError as error:
        _fail(str(error), 2)


def _make_first_index(settings: "Settings", source: str | None) -> None:
    from flame_server.index.first import build_first_index  # noqa: PLC0415

    build_first_index(
        settings.index_dir,
        source,
        vectors=settings.embedding_type != "None",
        report=lambda line: click.echo(line, err=True),
    )


def _service_embedder(name: str, report: Callable[[str], None]) -> "Embedder":
    # The option says which service, whatever the variable says.
    kind = "AzureOpenAI" if name == "azure-openai" else "OpenAI"
    settings, credentials = _configured(embedding_type=kind)
    from flame_server.embedding.choice import service_model  # noqa: PLC0415
    from flame_server.embedding.documents import DocumentEmbedder  # noqa: PLC0415

    return DocumentEmbedder(service_model(settings, credentials), report)


@contextmanager
def _opened(folder: Path) -> "Iterator[tuple[Searcher, Callable[..., Answer]]]":
    """An index with the settings that it would be served with, and a function that asks it."""
    settings, credentials = _configured()
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
