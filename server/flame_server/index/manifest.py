"""The file that says what an index is, and which generation of its files is in use."""

import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flame_server.embedding.identity import NO_EMBEDDING, EmbeddingIdentity
from flame_server.errors import FlameMcpError

# Raise when the files' layout, the chunks or the lexical terms change.
FORMAT_VERSION = 2
NAME = "manifest.json"
LATEST = "latest"


@dataclass(frozen=True)
class DocsVersion:
    """One version of the docs in an index.

    Attributes:
        version: As its links have it, e.g. `latest` or `1.38.0`.
        source: The folder or URL that it came from.
        revision: The source's git commit, when known.
        documents: Pages with text.
        skipped: Pages that were left out as unusable.
    """

    version: str
    source: str
    revision: str | None
    documents: int
    chunks: int
    skipped: int


@dataclass(frozen=True)
class Manifest:
    """What an index was made from and with.

    Attributes:
        generation: Name of the folder beside the manifest that holds the files.
        created: UTC, ISO 8601.
        versions: At least one; the first is searched when none is asked for.
        checksums: SHA-256 of each file.
    """

    generation: str
    created: str
    versions: tuple[DocsVersion, ...]
    passages: int
    embedding: EmbeddingIdentity
    checksums: dict[str, str]
    format: int = FORMAT_VERSION

    @property
    def chunks(self) -> int:
        """Those of all versions."""
        return sum(version.chunks for version in self.versions)

    def summary(self, version: str | None = None) -> dict[str, Any]:
        """What answers and readiness say about the index.

        Args:
            version: The one that is told of; without it the default one, and the sizes of all together.

        Raises:
            KeyError: There is no such version.
        """
        told = {known.version: known for known in self.versions}[version or self.versions[0].version]
        counted = self.versions if version is None else (told,)
        return {
            "version": told.version,
            "versions": [known.version for known in self.versions],
            "revision": told.revision,
            "generation": self.generation,
            "created": self.created,
            "documents": sum(known.documents for known in counted),
            "chunks": sum(known.chunks for known in counted),
            "embedding": self.embedding.model or self.embedding.type,
        }


def default_first(versions: Iterable[DocsVersion]) -> tuple[DocsVersion, ...]:
    """Versions in the order of preference: `latest`, then numbers from the newest on, then other names."""
    return tuple(sorted(versions, key=lambda known: _age(known.version), reverse=True))


def _age(version: str) -> tuple[bool, bool, list[int], bool, str]:
    numbered = re.match(r"v?\d+(?:\.\d+)*", version)
    numbers = [int(number) for number in re.findall(r"\d+", numbered[0])] if numbered else []
    # A suffix makes a release that comes before the one without: 2.0.0-dev.1, then 2.0.0.
    released = numbered is not None and numbered.end() == len(version)
    return version == LATEST, numbered is not None, numbers, released, version


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the index in `folder`.

    Raises:
        FlameMcpError: There is no index, or one of another format.
    """
    path = folder / NAME
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FlameMcpError(
            f"no index in {folder}: build one with flame-mcp index build --source DOCS --out {folder}"
        ) from error
    except (OSError, ValueError) as error:
        raise FlameMcpError(f"{path} is not readable as JSON ({error}): {rebuild_hint(folder)}") from error
    return parse_manifest(data, f"the index in {folder}", rebuild_hint(folder))


def parse_manifest(data: object, where: str, remedy: str) -> Manifest:
    """The manifest that `asdict` has made `data` of.

    Raises:
        FlameMcpError: It is none, or of another format; the text names `where` and the `remedy`.
    """
    if not isinstance(data, dict) or data.get("format") != FORMAT_VERSION:
        found = data.get("format") if isinstance(data, dict) else None
        raise FlameMcpError(f"{where} has format {found}, this release reads {FORMAT_VERSION}: {remedy}")
    try:
        versions = tuple(DocsVersion(**version) for version in data["versions"])
        embedding = EmbeddingIdentity(**data["embedding"])
        manifest = Manifest(**{**data, "versions": versions, "embedding": embedding})
    except (KeyError, TypeError) as error:
        raise FlameMcpError(f"the manifest of {where} is incomplete: {remedy}") from error
    if not versions:
        raise FlameMcpError(f"{where} names no version of the docs: {remedy}")
    if Path(manifest.generation).name != manifest.generation:
        raise FlameMcpError(f"{where} names a generation outside its folder: {remedy}")
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Switches the index to `manifest` in one step: a reader sees the old one or the new one."""
    temporary = folder / f".{NAME}.{manifest.generation}"
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(asdict(manifest), file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / NAME)


def check_embedding(manifest: Manifest, wanted: EmbeddingIdentity, where: str, remedy: str) -> None:
    """Refuses vectors of another model; the text names `where` and the `remedy`.

    Raises:
        FlameMcpError: The index holds no vectors, or not those of `wanted`.
    """
    if wanted == NO_EMBEDDING or wanted.accepts(manifest.embedding):
        return
    raise FlameMcpError(
        f"{where} has {_described(manifest.embedding)}, this server uses {_described(wanted)}: "
        f"{remedy}, or search it lexically with FLAME_MCP_EMBEDDING_TYPE=None"
    )


def _described(identity: EmbeddingIdentity) -> str:
    if identity == NO_EMBEDDING:
        return "no embeddings"
    size = f", {identity.dimensions} dimensions" if identity.dimensions else ""
    return f"embeddings of {identity.model} ({identity.type}{size}, {identity.fingerprint})"


def rebuild_hint(folder: Path) -> str:
    """How to make the index anew."""
    return f"rebuild it with flame-mcp index build --source DOCS --out {folder}"
