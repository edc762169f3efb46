"""The commands `flame-mcp index`, each a step from sources to an index that is searched."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from flame_server import outcome
from flame_server.cli_common import plain_errors, report, service_embedder, target_of

if TYPE_CHECKING:
    from flame_server.embedding.counted import CountedEmbedder
    from flame_server.embedding.identity import Embedder, Vectors
    from flame_server.index.manifest import Manifest

Embedding = Literal["local", "none", "azure-openai", "openai"]
BUNDLED = Path("/opt/flame-mcp/index")

index_option = click.option(
    "--index",
    "index",
    type=click.Path(path_type=Path),
    envvar="FLAME_MCP_INDEX_DIR",
    required=True,
    help="Folder of an index.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
qdrant_option = click.option(
    "--qdrant", "url", envvar="FLAME_MCP_QDRANT_URL", required=True, help="Address of the server."
)
collection_option = click.option(
    "--collection",
    envvar="FLAME_MCP_QDRANT_COLLECTION",
    default="flame-docs",
    show_default=True,
    help="Alias that servers read.",
)


@click.group()
def index() -> None:
    """Build, check and publish an index.

    Exit codes: 0 done, 1 and 2 something has to be changed, 3 the new index is held back, 75 it may go well
    the next time, 70 a bug. With FLAME_MCP_RESULT_FILE the result goes there as JSON.
    """


@index.command(cls=outcome.Step)
@click.option(
    "--sources",
    envvar="FLAME_MCP_SOURCES",
    required=True,
    help="The sources as JSON, or @FILE; docs/server.md has the form.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for what is fetched.")
@click.option(
    "--mounts",
    type=click.Path(path_type=Path),
    default=Path("/run/flame-mcp/sources"),
    show_default=True,
    help="Folder of docs that are mounted, each below its source's name.",
)
@click.option(
    "--credentials",
    type=click.Path(path_type=Path),
    default=Path("/etc/flame-mcp/sources"),
    show_default=True,
    help="Folder of credentials: NAME/username, NAME/password, NAME/ca.crt.",
)
def fetch(sources: str, out: Path, mounts: Path, credentials: Path) -> None:
    """Bring docs from git repositories, archives and volumes to a folder, for index build --fetched."""
    from flame_server.sources import fetch as fetching  # noqa: PLC0415

    revision = fetching.fetch(fetching.read_sources(sources), out, mounts, credentials, report)
    outcome.tell("fetch", {"revision": revision})


@index.command(cls=outcome.Step)
@click.option("--source", help="A folder of markdown or of a built site, a Flame checkout, or a git URL.")
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
@click.option(
    "--fetched", type=click.Path(path_type=Path), help="Instead of --source: what index fetch has brought."
)
@click.option(
    "--bundled",
    type=click.Path(path_type=Path),
    default=BUNDLED,
    show_default=True,
    help="With --fetched: the index whose docs the source `bundled` means.",
)
@click.option(
    "--reuse",
    type=click.Path(path_type=Path),
    multiple=True,
    help="With --fetched: an index whose vectors are taken over where texts are the same.",
)
@click.option(
    "--reuse-qdrant",
    is_flag=True,
    help="With --fetched: likewise of the index in Qdrant that FLAME_MCP_QDRANT_* name.",
)
def build(  # noqa: PLR0913, PLR0917 - one argument an option, passed by name
    source: str | None,
    ref: str | None,
    path: str | None,
    page_format: Literal["auto", "markdown", "html"],
    out: Path,
    embedding: Embedding,
    version: str,
    keep_versions: bool,
    fetched: Path | None,
    bundled: Path,
    reuse: tuple[Path, ...],
    reuse_qdrant: bool,
) -> None:
    """Build an index; the one in --out is replaced when the new one is complete."""
    if (source is None) == (fetched is None):
        raise click.UsageError("give either --source or --fetched")
    from flame_server.index.build import build_index  # noqa: PLC0415

    embedder = _embedder(embedding)
    if fetched is not None:
        manifest = _build_fetched(fetched, out, bundled, embedder, reuse, reuse_qdrant=reuse_qdrant)
    else:
        manifest = build_index(
            source or "",
            out,
            ref=ref,
            path=path,
            page_format=page_format,
            embedding=embedder or "none",
            version=version,
            keep_versions=keep_versions,
            report=report,
        )
    click.echo(f"index ready in {out}:")
    for known in manifest.versions:
        skipped = f", {known.skipped} pages skipped" if known.skipped else ""
        click.echo(f"{known.version}: {known.documents} pages, {known.chunks} chunks{skipped}")
    summary = manifest.summary()
    result = {name: summary[name] for name in ("documents", "chunks")}
    result["skipped"] = sum(known.skipped for known in manifest.versions)
    result["embedded"] = embedder.embedded if embedder else 0
    outcome.tell("build", result)


def _embedder(embedding: Embedding) -> "CountedEmbedder | None":
    from flame_server.embedding.counted import CountedEmbedder  # noqa: PLC0415
    from flame_server.index.build import embedder_of  # noqa: PLC0415

    found = embedder_of(embedding if embedding in ("local", "none") else service_embedder(embedding))
    return CountedEmbedder(found) if found else None


def _build_fetched(  # noqa: PLR0913 - options of a command
    fetched: Path,
    out: Path,
    bundled: Path,
    embedder: "Embedder | None",
    reuse: tuple[Path, ...],
    *,
    reuse_qdrant: bool,
) -> "Manifest":
    from flame_server.index.reuse import known_vectors  # noqa: PLC0415
    from flame_server.index.sources import build_from_sources  # noqa: PLC0415
    from flame_server.sources.fetch import read_fetched  # noqa: PLC0415

    known: dict[bytes, Vectors] = {}
    if embedder is not None:
        for folder in reuse:
            known |= known_vectors(folder, embedder.identity)
        if reuse_qdrant:
            known |= _published_vectors(embedder)
    return build_from_sources(
        read_fetched(fetched),
        out,
        bundled=bundled,
        embedding=embedder or "none",
        known=known,
        report=report,
    )


def _published_vectors(embedder: "Embedder") -> "dict[bytes, Vectors]":
    from flame_server.cli_common import configured  # noqa: PLC0415
    from flame_server.opening import qdrant_target  # noqa: PLC0415
    from flame_server.qdrant.reuse import published_vectors  # noqa: PLC0415

    settings, credentials = configured(vector_store_type="Qdrant", embedding_type="None")
    return dict(published_vectors(qdrant_target(settings, credentials), embedder.identity, report))


@index.command(cls=outcome.Step)
@index_option
@qdrant_option
@collection_option
@click.option(
    "--min-ratio",
    envvar="FLAME_MCP_MIN_RATIO",
    type=click.FloatRange(0, 1),
    default=0.9,
    show_default=True,
    help="How many chunks it needs, in relation to the index that is searched now; 0 takes anything.",
)
@click.option(
    "--canary", default="", help="A question that it must have an answer to (default: one out of itself)."
)
@click.option(
    "--replicas",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="On how many nodes of a Qdrant cluster it is kept.",
)
def publish(  # noqa: PLR0913, PLR0917 - one argument an option, passed by name
    index: Path, url: str, collection: str, min_ratio: float, canary: str, replicas: int
) -> None:
    """Load an index into a Qdrant server, check it there, and let the alias mean it.

    FLAME_MCP_QDRANT_API_KEY_FILE and FLAME_MCP_QDRANT_CA_FILE are used as by serve; the key must be one that
    may write. An index that fails a check stays in a collection of its own, and the alias where it was.
    """
    from flame_server.qdrant.publish import Checks, publish_index  # noqa: PLC0415

    found = publish_index(index, target_of(url, collection), report, Checks(min_ratio, canary, replicas))
    click.echo(f"published {found.collection} as {collection}")
    outcome.tell("publish", found.as_result())


@index.command(cls=outcome.Step)
@qdrant_option
@collection_option
def rollback(url: str, collection: str) -> None:
    """Let the alias mean the index that it meant before the current one."""
    from flame_server.qdrant.publish import roll_back  # noqa: PLC0415

    found = roll_back(target_of(url, collection), report)
    click.echo(f"{collection} means {found.collection}")
    outcome.tell("rollback", found.as_result())


@index.command()
@index_option
@json_option
@plain_errors
def verify(index: Path, as_json: bool) -> None:
    """Check that an index is complete, undamaged and searchable."""
    from flame_server.index.verify import verify_index  # noqa: PLC0415

    summary = verify_index(index)
    if as_json:
        click.echo(json.dumps(summary))
        return
    for key, value in summary.items():
        click.echo(f"{key:<12}{value}")
