"""Builds one index from several sources: what `index fetch` wrote, and the docs of the image's own index."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from flame_server.docs.folder import open_tree
from flame_server.docs.names import GENERAL, is_safe
from flame_server.docs.sections import Chunk
from flame_server.docs.site import template
from flame_server.embedding.identity import Vectors
from flame_server.errors import FlameMcpError, HeldBackError
from flame_server.index import files
from flame_server.index.build import (
    EmbeddingChoice,
    Report,
    embedder_of,
    identity_of,
    index_data,
    new_generation,
    read_docs,
)
from flame_server.index.files import StoredChunk
from flame_server.index.manifest import (
    LATEST,
    DocsVersion,
    Manifest,
    default_first,
    read_manifest,
    write_manifest,
)
from flame_server.sources.fetch import Fetched, revisions


@dataclass(frozen=True)
class _Docs:
    """The chunks of one source, and how many of its pages were skipped."""

    chunks: Sequence[Chunk]
    skipped: int
    revision: str


def build_from_sources(  # noqa: PLR0913 - by name
    fetched: Sequence[Fetched],
    out: Path,
    *,
    bundled: Path,
    embedding: EmbeddingChoice,
    known: Mapping[bytes, Vectors],
    report: Report,
) -> Manifest:
    """Builds one index of all sources in `out`.

    One source keeps its own sections and paths. With several, each source becomes a section of its name and
    its paths begin with that name, so that pages of two sources never mix. Links do not change.

    Args:
        fetched: The sources.
        out: The index's folder.
        bundled: The image's own index, for the source `bundled`.
        embedding: What makes the vectors.
        known: Reusable vectors by the digests of their texts.
        report: Called with lines about progress.

    Raises:
        FlameMcpError: A source cannot be read, or `out` cannot be written.
        HeldBackError: A source has no usable page.
    """
    with new_generation(out) as folder:
        embedder = embedder_of(embedding)
        several = len(fetched) > 1
        docs = [_read(one, bundled, report) for one in fetched]
        chunks = [
            _of_section(chunk, one.name) if several else chunk
            for one, found in zip(fetched, docs, strict=True)
            for chunk in found.chunks
        ]
        data = index_data(chunks, embedder, known, report)
        fetched_revisions = [
            replace(one, revision=found.revision) for one, found in zip(fetched, docs, strict=True)
        ]
        manifest = Manifest(
            generation=folder.name,
            created=datetime.now(UTC).isoformat(timespec="milliseconds"),
            versions=_versions(chunks, fetched_revisions, sum(found.skipped for found in docs)),
            passages=len(data.passages.values),
            embedding=identity_of(embedder, data.passages.values),
            checksums=files.write(folder, data),
        )
        write_manifest(out, manifest)
    return manifest


def _read(one: Fetched, bundled: Path, report: Report) -> _Docs:
    try:
        found = _bundled(bundled) if not one.root else _tree(one, report)
    except FlameMcpError as error:
        raise FlameMcpError(f"source {one.name}: {error}") from error
    if not found.chunks:
        raise HeldBackError(
            f"source {one.name} has no page that can be used ({found.skipped} skipped) at {one.revision}: "
            "nothing of it would be left to search"
        )
    return found


def _bundled(folder: Path) -> _Docs:
    manifest = read_manifest(folder)
    generation = folder / manifest.generation
    files.check(generation, manifest.checksums)
    chunks = [_plain(chunk) for chunk in files.read(generation).chunks]
    return _Docs(chunks, 0, manifest.versions[0].revision or "")


def _tree(one: Fetched, report: Report) -> _Docs:
    with open_tree(one.root, None, one.path) as tree:
        # A built site in a repository is no page of the forge.
        repository = one.repository if tree.format == "markdown" else ""
        links = template(one.site_url, repository, one.revision, one.path or "")
        _, chunks = read_docs(tree, LATEST, report, links)
        return _Docs(chunks, tree.skipped, one.revision)


def _of_section(chunk: Chunk, name: str) -> Chunk:
    group = name if is_safe(name) else GENERAL
    return replace(chunk, id=f"{name}:{chunk.id}", group=group, source_path=f"{name}/{chunk.source_path}")


def _plain(chunk: StoredChunk) -> Chunk:
    """The chunk without its token count, which is counted again."""
    return Chunk(**{name: value for name, value in vars(chunk).items() if name != "tokens"})


def _versions(chunks: Sequence[Chunk], fetched: Sequence[Fetched], skipped: int) -> tuple[DocsVersion, ...]:
    counts = Counter(chunk.version for chunk in chunks)
    pages = Counter(version for version, _ in {(chunk.version, chunk.source_path) for chunk in chunks})
    found = [
        DocsVersion(
            version=version,
            source=", ".join(one.origin for one in fetched),
            revision=revisions(fetched) or None,
            documents=pages[version],
            chunks=counts[version],
            skipped=0,
        )
        for version in counts
    ]
    first, *others = default_first(found)
    return (replace(first, skipped=skipped), *others)
