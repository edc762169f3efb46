"""`flame-mcp index fetch` and `build`: from sources to an index in a folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from flame_server.commands import outcome
from flame_server.commands.common import configured, report

if TYPE_CHECKING:
    from flame_server.commands.index.counting import CountingEmbedder
    from flame_server.embedding.identity import Embedder, Vectors
    from flame_server.index.manifest import Manifest

Embedding = Literal["local", "none", "azure-openai", "openai"]
BUNDLED = Path("/opt/flame-mcp/index")


@click.command(cls=outcome.Step)
@click.option(
    "--sources",
    envvar="FLAME_MCP_SOURCES",
    required=True,
    help="The sources as JSON, or @FILE; docs/server.md describes the format.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the fetched docs.")
@click.option(
    "--mounts",
    type=click.Path(path_type=Path),
    default=Path("/run/flame-mcp/sources"),
    show_default=True,
    help="Folder of mounted docs, each source in a folder of its name.",
)
@click.option(
    "--credentials",
    type=click.Path(path_type=Path),
    default=Path("/etc/flame-mcp/sources"),
    show_default=True,
    help="Folder of credentials: NAME/username, NAME/password, NAME/ca.crt.",
)
def fetch(sources: str, out: Path, mounts: Path, credentials: Path) -> None:
    """Copy docs from git repositories, archives and volumes to a folder, for index build --fetched."""
    from flame_server.sources import fetch as fetching  # noqa: PLC0415

    revision = fetching.fetch(fetching.read_sources(sources), out, mounts, credentials, report)
    outcome.write_result("fetch", {"revision": revision})


@click.command(cls=outcome.Step)
@click.option("--source", help="A folder of markdown or of a built site, a Flame checkout, or a git URL.")
@click.option("--ref", help="Branch, tag or commit of a git URL.")
@click.option("--path", help="Folder of the pages inside the source (default: doc, when there is one).")
@click.option(
    "--format",
    "page_format",
    type=click.Choice(["auto", "markdown", "html"]),
    default="auto",
    show_default=True,
    help="Format of the pages; auto takes the HTML of a built site where there is no markdown.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the index.")
@click.option(
    "--embedding",
    type=click.Choice(["local", "none", "azure-openai", "openai"]),
    default="local",
    show_default=True,
    help="What makes the vectors; a service uses the same variables as serve.",
)
@click.option("--version", default="latest", show_default=True, help="Docs version that links point to.")
@click.option("--keep-versions", is_flag=True, help="Keep the other versions of the index in --out.")
@click.option(
    "--fetched",
    type=click.Path(path_type=Path),
    help="Instead of --source: the folder that index fetch wrote.",
)
@click.option(
    "--bundled",
    type=click.Path(path_type=Path),
    default=BUNDLED,
    show_default=True,
    help="With --fetched: the index that the source `bundled` stands for.",
)
@click.option(
    "--reuse",
    type=click.Path(path_type=Path),
    multiple=True,
    help="With --fetched: an index whose vectors are reused for unchanged texts.",
)
@click.option(
    "--reuse-qdrant",
    is_flag=True,
    help="With --fetched: reuse vectors of the index in Qdrant that FLAME_MCP_QDRANT_* name.",
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
    outcome.write_result("build", result)


def _embedder(embedding: Embedding) -> "CountingEmbedder | None":
    from flame_server.commands.index.counting import CountingEmbedder  # noqa: PLC0415
    from flame_server.index.build import embedder_of  # noqa: PLC0415

    found = embedder_of(embedding if embedding in ("local", "none") else service_embedder(embedding))
    return CountingEmbedder(found) if found else None


def service_embedder(name: str) -> "Embedder":
    """Embeds documents with a service. The option names the service, whatever the variable says."""
    settings, credentials = configured(embedding_type="AzureOpenAI" if name == "azure-openai" else "OpenAI")
    from flame_server.embedding.choice import service_model  # noqa: PLC0415
    from flame_server.embedding.documents import DocumentEmbedder  # noqa: PLC0415

    return DocumentEmbedder(service_model(settings, credentials), report)


def _build_fetched(  # noqa: PLR0913 - options of a command
    fetched: Path,
    out: Path,
    bundled: Path,
    embedder: "Embedder | None",
    reuse: tuple[Path, ...],
    *,
    reuse_qdrant: bool,
) -> "Manifest":
    from flame_server.index.build_from_sources import build_from_sources  # noqa: PLC0415
    from flame_server.index.reuse import known_vectors  # noqa: PLC0415
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
    from flame_server.qdrant.connection import qdrant_target  # noqa: PLC0415
    from flame_server.qdrant.reuse import published_vectors  # noqa: PLC0415

    settings, credentials = configured(vector_store_type="Qdrant", embedding_type="None")
    return dict(published_vectors(qdrant_target(settings, credentials), embedder.identity, report))
