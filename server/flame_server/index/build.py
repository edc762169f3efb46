"""Builds an index: reads docs, embeds them, writes the files, and switches to them in one step."""

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from flame_server.docs.folder import AskedFormat, Page, Tree, open_tree
from flame_server.docs.myst.directives import visible
from flame_server.docs.names import GENERAL, is_safe
from flame_server.docs.sections import (
    Chunk,
    Section,
    chunks_of,
    passages,
    searched_text,
    sections_of,
    title_line,
)
from flame_server.docs.site import FLAME, Site
from flame_server.embedding.identity import NO_EMBEDDING, Embedder, EmbeddingIdentity, Vectors
from flame_server.embedding.local import LocalEmbedder
from flame_server.errors import FlameMcpError
from flame_server.index import files, reuse
from flame_server.index.files import IndexData, Rows, StoredChunk, offsets
from flame_server.index.manifest import (
    LATEST,
    NAME,
    DocsVersion,
    Manifest,
    default_first,
    read_manifest,
    write_manifest,
)
from flame_server.index.reuse import passage_texts, question_texts
from flame_server.index.versions import joined, without
from flame_server.sources.git import without_password
from flame_server.text import lexical
from flame_server.text.wordpiece import TokenCounter, as_sent, load_tokenizer

Report = Callable[[str], None]
EmbeddingChoice = Literal["local", "none"] | Embedder
_NAMED_FOLDERS = 20
_GENERATION = "generation-"
_PROGRESS_SECONDS = 5.0


def build_index(  # noqa: PLR0913 - the options of the command, by name
    source: str,
    out: Path,
    *,
    ref: str | None = None,
    path: str | None = None,
    page_format: AskedFormat = "auto",
    embedding: EmbeddingChoice = "local",
    version: str = LATEST,
    keep_versions: bool = False,
    report: Report,
) -> Manifest:
    """Builds an index of `source` in `out`. It replaces the index there only when it is complete.

    Args:
        source: A folder, or a git URL.
        out: The index's folder.
        ref: See `open_tree`.
        path: See `open_tree`.
        page_format: See `open_tree`.
        embedding: What makes the vectors.
        version: The version of the docs, which is part of links.
        keep_versions: Keeps the other versions of the index in `out`.
        report: Called with lines about progress.

    Raises:
        FlameMcpError: The source has no usable page, the index in `out` cannot be kept, or `out` cannot be
            written.
    """
    if not is_safe(version) or not version[0].isalnum():
        raise FlameMcpError(
            f"version {version!r} cannot be part of a link or of a tool's description: give one like 1.38.0 "
            "or latest, with at most 40 characters"
        )
    with open_tree(source, ref, path, page_format) as tree, new_generation(out) as folder:
        embedder = embedder_of(embedding)
        others = _other_versions(out, version, embedder) if keep_versions else None
        documents, chunks = read_docs(tree, version, report)
        if not chunks:
            raise FlameMcpError(
                f"{tree.docs} has no usable {tree.format} page ({tree.skipped} skipped): "
                "give a folder of pages"
            )
        known = reuse.known_vectors(out, embedder.identity) if embedder else {}
        data = index_data(chunks, embedder, known, report)
        versions = [
            DocsVersion(
                version, without_password(source), tree.revision, documents, len(chunks), tree.skipped
            )
        ]
        if others:
            data = joined(others[1], data)
            versions += others[0]
        manifest = Manifest(
            generation=folder.name,
            created=datetime.now(UTC).isoformat(timespec="milliseconds"),
            versions=default_first(versions),
            passages=len(data.passages.values),
            embedding=identity_of(embedder, data.passages.values),
            checksums=files.write(folder, data),
        )
        write_manifest(out, manifest)
    return manifest


def _other_versions(
    out: Path, version: str, embedder: Embedder | None
) -> tuple[Sequence[DocsVersion], IndexData] | None:
    """The other versions of the index in `out`; None when there are none.

    Raises:
        FlameMcpError: The index was built with another model, or cannot be read. It must not be lost
            silently.
    """
    if not (out / NAME).exists():
        return None
    manifest = read_manifest(out)
    wanted = embedder.identity if embedder else NO_EMBEDDING
    if not wanted.accepts(manifest.embedding):
        found = manifest.embedding
        raise FlameMcpError(
            f"the versions in {out} have vectors of {found.model or found.type}, this build makes those of "
            f"{wanted.model or wanted.type}: give the same --embedding, or another --out"
        )
    generation = out / manifest.generation
    files.check(generation, manifest.checksums)
    others = [known for known in manifest.versions if known.version != version]
    return (others, without(files.read(generation), version)) if others else None


def lexical_text(chunk: Chunk) -> str:
    """The text of a chunk for lexical search; its own heading counts twice."""
    path = chunk.source_path.removesuffix(".md").replace("/", " ")
    return "\n".join([path, title_line(chunk), chunk.title, searched_text(chunk.content), *chunk.asks])


def read_docs(tree: Tree, version: str, report: Report, links: str = FLAME) -> tuple[int, list[Chunk]]:
    """The number of pages with text, and the chunks of all pages. Bad pages are skipped with a warning.

    Args:
        tree: The docs.
        version: Their version.
        report: Called with lines about progress.
        links: The template of the addresses of pages, see `docs.site.template`.
    """
    chunks: list[Chunk] = []
    documents = 0
    pages = list(tree.pages())
    if tree.format == "markdown":
        pages = [replace(page, text=visible(page.text)) for page in pages]
    tree.warnings += _odd_folders(pages)
    site = Site(version, pages if tree.format == "markdown" else [], links)
    for page in pages:
        try:
            found = list(chunks_of(page.path, _sections(tree, page, site), site))
        except FlameMcpError as error:
            tree.skip(page.path, error)
            continue
        documents += bool(found)
        chunks.extend(found)
    for warning in tree.warnings:
        report(f"warning: {warning}")
    report(f"{documents} pages, {len(chunks)} chunks, {tree.skipped} pages skipped")
    return documents, chunks


def _odd_folders(pages: Sequence[Page]) -> list[str]:
    """Warnings about folders whose names no tool may show, see `group_of`."""
    folders = {page.path.partition("/")[0] for page in pages if "/" in page.path}
    odd = sorted(folder for folder in folders if not is_safe(folder))
    told = [
        f"{folder[:80]!r}: no name for a section of the docs (letters, digits, '.', '_', '-', at most 40): "
        f"its pages are in {GENERAL!r}"
        for folder in odd[:_NAMED_FOLDERS]
    ]
    more = len(odd) - len(told)
    return [*told, f"{more} more folders have such names"] if more else told


def _sections(tree: Tree, page: Page, site: Site) -> Iterator[Section]:
    if tree.format == "markdown":
        return sections_of(page, site, partial(tree.dartdoc, page=page.path))
    from flame_server.docs.html import sections_of_html  # noqa: PLC0415 - only such builds need its libraries

    return sections_of_html(page, site.address(page.path))


def embedder_of(choice: EmbeddingChoice) -> Embedder | None:
    """The embedder for a choice; None for an index without vectors."""
    if choice == "local":
        return LocalEmbedder(threads=_cores())
    return None if choice == "none" else choice


def index_data(
    chunks: Sequence[Chunk], embedder: Embedder | None, known: Mapping[bytes, Vectors], report: Report
) -> IndexData:
    """The data of an index of these chunks; `known` are reusable vectors by the digests of their texts."""
    count = TokenCounter(load_tokenizer())
    vectors = lexical.document_vectors([list(lexical.tokens(lexical_text(chunk))) for chunk in chunks])
    term_offsets = offsets(len(vector) for vector in vectors)
    counts = [len(passages(chunk)) if embedder else 0 for chunk in chunks]
    question_counts = [1 + len(chunk.asks) if embedder else 0 for chunk in chunks]
    embedded = _embed([*passage_texts(chunks), *question_texts(chunks)], embedder, known, report)
    return IndexData(
        chunks=[StoredChunk(**vars(chunk), tokens=count(as_sent(chunk.content))) for chunk in chunks],
        terms=Rows(np.array([term for vector in vectors for term in vector], dtype=np.uint32), term_offsets),
        weights=Rows(
            np.array([weight for vector in vectors for weight in vector.values()], dtype=np.float32),
            term_offsets,
        ),
        passages=Rows(embedded[: sum(counts)], offsets(counts)),
        asks=Rows(embedded[sum(counts) :], offsets(question_counts)),
    )


def identity_of(embedder: Embedder | None, vectors: Vectors) -> EmbeddingIdentity:
    """The identity of the embedder, with the dimensions of the vectors."""
    # Only the vectors tell the dimensions of a service that was not asked for a number.
    return replace(embedder.identity, dimensions=vectors.shape[1]) if embedder else NO_EMBEDDING


def _embed(
    texts: list[str], embedder: Embedder | None, known: Mapping[bytes, Vectors], report: Report
) -> Vectors:
    """A vector for each text; each unknown text is embedded once."""
    if embedder is None or not texts:
        return np.zeros((0, 0), dtype=np.float32)
    digests = [reuse.digest(text) for text in texts]
    new = {digest: text for digest, text in zip(digests, texts, strict=True) if digest not in known}
    report(f"{len(new)} passages to embed, {len(set(digests)) - len(new)} taken from the index before")
    start = last = time.monotonic()

    def progress(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _PROGRESS_SECONDS or done == len(new):
            last = now
            report(f"{done}/{len(new)} passages embedded, {now - start:.0f} s")

    embedded = embedder.embed(list(new.values()), progress)
    vectors = {**known, **dict(zip(new, embedded, strict=True))}
    if len({len(vectors[digest]) for digest in digests}) > 1:
        raise FlameMcpError(
            f"{embedder.identity.model} gives {embedded.shape[1]} dimensions now, and those of the index "
            "before differ: remove that, or give another --out"
        )
    return np.stack([vectors[digest] for digest in digests])


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def new_generation(out: Path) -> Iterator[Path]:
    """A new generation folder in `out`. Removed when the build fails; otherwise it replaces older ones."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with (out / ".lock").open("w") as lock:
            _lock(lock.fileno(), out)
            stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
            folder = out / f"{_GENERATION}{stamp}-{secrets.token_hex(3)}"
            folder.mkdir()
            try:
                yield folder
            except BaseException:
                _remove(out, [folder])
                raise
            _remove(out, [old for old in out.glob(f"{_GENERATION}*") if old != folder])
    except OSError as error:
        raise FlameMcpError(f"cannot write the index to {out}: {error.strerror or error}") from error


def _lock(descriptor: int, out: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise FlameMcpError(
            f"another build is writing to {out}: wait for it, or give another --out"
        ) from error


def _remove(out: Path, folders: Sequence[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
        (out / f".{NAME}.{folder.name}").unlink(missing_ok=True)
