"""Checks an index: checksums, number of chunks, and that it can be searched."""

from pathlib import Path
from typing import Any

from flame_server.errors import FlameMcpError
from flame_server.index import files
from flame_server.index.manifest import read_manifest, rebuild_hint
from flame_server.index.store import Store
from flame_server.text.lexical import query_terms


def verify_index(folder: Path) -> dict[str, Any]:
    """Checks the index in `folder` and returns its summary.

    Raises:
        FlameMcpError: A checksum differs, files do not match, or no chunk is found by its title.
    """
    manifest = read_manifest(folder)
    generation = folder / manifest.generation
    try:
        files.check(generation, manifest.checksums)
    except FlameMcpError as error:
        raise FlameMcpError(f"{error}: {rebuild_hint(folder)}") from error
    data = files.read(generation)
    if len(data.chunks) != manifest.chunks:
        raise FlameMcpError(
            f"{folder} has {len(data.chunks)} chunks, not {manifest.chunks}: {rebuild_hint(folder)}"
        )
    store = Store(data)
    try:
        if not any(store.search(query_terms(chunk.title), None, 1) for chunk in data.chunks[:10]):
            raise FlameMcpError(f"nothing in {folder} is found by its own title: {rebuild_hint(folder)}")
    finally:
        store.close()
    return manifest.summary()
