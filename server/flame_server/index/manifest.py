"""The manifest: what an index was built from and with, and which generation of its files is in use."""

import json
import logging
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from flame_server.embedding.identity import NO_EMBEDDING, EmbeddingIdentity
from flame_server.errors import FlameMcpError
from flame_server.text.names import bounded, is_safe

# Raise when the layout of the files, the chunks or the lexical terms change.
FORMAT_VERSION = 3
NAME = "manifest.json"
LATEST = "latest"
# What a manifest says stands in each answer, and that of an index in Qdrant may come from anybody who writes
# there.
_MOST_VERSIONS = 500
_MOST = 10**12
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DocsVersion:
    """One version of the docs in an index.

    Attributes:
        version: As in links, e.g. `latest` or `1.38.0`.
        source: The folder or URL of the docs.
        revision: The source's git commit, when known.
        documents: Pages with text.
        skipped: Unusable pages that were left out.
    """

    version: str
    source: str
    revision: str | None
    documents: int
    chunks: int
    skipped: int


@dataclass(frozen=True)
class Manifest:
    """What an index was built from and with.

    Attributes:
        generation: Name of the folder with the files, beside the manifest.
        created: UTC, ISO 8601.
        versions: At least one; the first is the default.
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
        """The number of chunks of all versions."""
        return sum(version.chunks for version in self.versions)

    def summary(self, version: str | None = None) -> dict[str, Any]:
        """Summary of the index, for answers and readiness.

        Args:
            version: Describes this version; None describes the default one, with the sizes of all together.

        Raises:
            KeyError: There is no such version.
        """
        told = {known.version: known for known in self.versions}[version or self.versions[0].version]
        counted = self.versions if version is None else (told,)
        return {
            "version": told.version,
            "versions": [known.version for known in self.versions],
            "revision": told.revision and bounded(told.revision),
            "generation": bounded(self.generation),
            "created": bounded(self.created, 40),
            "documents": sum(known.documents for known in counted),
            "chunks": sum(known.chunks for known in counted),
            "embedding": bounded(self.embedding.model or self.embedding.type),
        }


def default_first(versions: Iterable[DocsVersion]) -> tuple[DocsVersion, ...]:
    """Sorts versions: `latest` first, then numbers from the newest on, then other names."""
    return tuple(sorted(versions, key=lambda known: _age(known.version), reverse=True))


def _age(version: str) -> tuple[bool, bool, list[int], bool, str]:
    numbered = re.match(r"v?\d+(?:\.\d+)*", version)
    numbers = [int(number) for number in re.findall(r"\d+", numbered[0])] if numbered else []
    # A suffix makes a pre-release, which is older: 2.0.0-dev.1 comes before 2.0.0.
    released = numbered is not None and numbered.end() == len(version)
    return version == LATEST, numbered is not None, numbers, released, version


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the index in `folder`.

    Raises:
        FlameMcpError: There is no index, or it has another format.
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
    """A manifest from its fields as `asdict` returns them.

    Raises:
        FlameMcpError: The data is not a manifest, or has another format. The text names `where` and `remedy`.
    """
    if not isinstance(data, dict) or data.get("format") != FORMAT_VERSION:
        found = data.get("format") if isinstance(data, dict) else None
        raise FlameMcpError(f"{where} has format {found}, this release reads {FORMAT_VERSION}: {remedy}")
    try:
        versions = _versions(data["versions"], where)
        embedding = EmbeddingIdentity(**data["embedding"])
        manifest = Manifest(**{**data, "versions": versions, "embedding": embedding})
    except (KeyError, TypeError) as error:
        raise FlameMcpError(f"the manifest of {where} is incomplete: {remedy}") from error
    if not (_is_plausible(manifest) and _is_plausible(embedding) and all(map(_is_plausible, versions))):
        raise FlameMcpError(f"the manifest of {where} has values of other kinds: {remedy}")
    if not versions:
        raise FlameMcpError(f"{where} names no version of the docs: {remedy}")
    if Path(manifest.generation).name != manifest.generation:
        raise FlameMcpError(f"{where} names a generation outside its folder: {remedy}")
    return manifest


def _versions(data: Any, where: str) -> tuple[DocsVersion, ...]:  # noqa: ANN401 - JSON
    """The versions, without those whose names no tool may show.

    Raises:
        TypeError: They are not a list of objects with the fields of versions.
    """
    if not isinstance(data, list):
        raise TypeError
    found = [DocsVersion(**version) for version in data[:_MOST_VERSIONS]]
    safe = safe_names(where, [version.version for version in found])
    return tuple(version for version in found if version.version in safe)


def safe_names(where: str, names: Iterable[object]) -> list[str]:
    """The names of groups or versions that tools may show; the log tells how many others there are."""
    told = list(names)
    safe = [name for name in told if isinstance(name, str) and is_safe(name)]
    if len(safe) < len(told):
        _log.warning("%s: left out %d names of versions or sections", where, len(told) - len(safe))
    return safe


def _is_plausible(part: Manifest | DocsVersion | EmbeddingIdentity) -> bool:
    """Whether the fields have their types: what somebody else wrote must not become a bug later."""
    return all(_has_type(getattr(part, one.name), str(one.type)) for one in fields(part))


def _has_type(value: object, declared: str) -> bool:
    match declared:
        case "str" | "<class 'str'>":
            return isinstance(value, str)
        case "int" | "<class 'int'>":
            return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST
        case "str | None":
            return value is None or isinstance(value, str)
        case "dict[str, str]":
            return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())
        case _:
            return True


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Switches the index to `manifest` atomically: a reader sees the old one or the new one."""
    temporary = folder / f".{NAME}.{manifest.generation}"
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(asdict(manifest), file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / NAME)


def check_embedding(manifest: Manifest, wanted: EmbeddingIdentity, where: str, remedy: str) -> None:
    """Refuses an index with vectors of another model.

    Raises:
        FlameMcpError: The index holds no vectors, or those of another model. The text names `where` and
            `remedy`.
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
    """Tells how to rebuild the index."""
    return f"rebuild it with flame-mcp index build --source DOCS --out {folder}"
