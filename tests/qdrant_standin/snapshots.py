"""Snapshots as files: a collection's configuration and its points as JSON. Aliases are no part of them."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from qdrant_client import QdrantClient, models

_STAMP = "%Y-%m-%d-%H-%M-%S"


class NotFoundError(Exception):
    """The server answers 404."""


class Snapshots:
    """What is below the folder: a folder for each collection, which outlives it, as Qdrant's does."""

    def __init__(self, engine: QdrantClient, folder: Path | None) -> None:
        self._engine = engine
        self._folder = folder

    def listed(self, name: str) -> list[dict[str, Any]]:
        """All of a collection."""
        return [_described(file) for file in sorted(self._of(name).iterdir())]

    def create(self, name: str) -> dict[str, Any]:
        """A new one of a collection."""
        folder = self._of(name)
        points, _ = self._engine.scroll(name, limit=1_000_000, with_payload=True, with_vectors=True)
        kept = {
            "config": self._engine.get_collection(name).config.model_dump(mode="json"),
            "points": [
                point.model_dump(mode="json", include={"id", "payload", "vector"}) for point in points
            ],
        }
        now = datetime.now(UTC)
        # Qdrant would write over one of the same second.
        while (file := folder / f"{folder.name}-{now.strftime(_STAMP)}.snapshot").exists():
            now += timedelta(seconds=1)
        file.write_text(json.dumps(kept))
        return _described(file)

    def file(self, name: str, snapshot: str) -> Path:
        """Where one is."""
        found = self._of(name) / Path(snapshot).name
        if not found.is_file():
            raise NotFoundError(f"Not found: Snapshot {snapshot} not found")
        return found

    def delete(self, name: str, snapshot: str) -> bool:
        """Removes one."""
        self.file(name, snapshot).unlink()
        return True

    def recover(self, name: str, wanted: models.SnapshotRecover) -> bool:
        """Replaces a collection by a snapshot on this machine."""
        location = urlsplit(wanted.location)
        file = Path(location.path)
        if location.scheme != "file":
            raise ValueError(f"Wrong input: URL scheme {location.scheme!r} is not supported")
        if not file.is_file():
            raise ValueError(f'Wrong input: Snapshot file "{file}" does not exist')
        return self._restore(name, file.read_bytes(), wanted.checksum)

    def upload(self, name: str, file_name: str, data: bytes, checksum: str | None) -> bool:
        """Replaces a collection by an uploaded snapshot, which stays among its snapshots."""
        folder = self._root() / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / Path(file_name).name).write_bytes(data)
        return self._restore(name, data, checksum)

    def _root(self) -> Path:
        if self._folder is None:
            raise ValueError("Wrong input: this stand-in has no folder of snapshots")
        return self._folder

    def _of(self, name: str) -> Path:
        aliases = {one.alias_name: one.collection_name for one in self._engine.get_aliases().aliases}
        collection = aliases.get(name, name)
        self._engine.get_collection(collection)
        folder = self._root() / collection
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _restore(self, name: str, data: bytes, checksum: str | None) -> bool:
        found = hashlib.sha256(data).hexdigest()
        if checksum and checksum != found:
            raise ValueError(f"Wrong input: Snapshot checksum mismatch: expected {checksum}, got {found}")
        try:
            kept = json.loads(data)
            config = kept["config"]
            fields = {"metadata": config["metadata"], "sparse_vectors": config["params"]["sparse_vectors"]}
            wanted = models.CreateCollection(vectors=config["params"]["vectors"], **fields)
            points = [models.PointStruct.model_validate(point) for point in kept["points"]]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError("Wrong input: failed to unpack snapshot archive") from error
        self._engine.delete_collection(name)
        self._engine.create_collection(
            name,
            vectors_config=wanted.vectors,
            sparse_vectors_config=wanted.sparse_vectors,
            metadata=wanted.metadata,
        )
        if points:
            self._engine.upsert(name, points)
        return True


def _described(file: Path) -> dict[str, Any]:
    data = file.read_bytes()
    created = datetime.fromtimestamp(file.stat().st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return {
        "name": file.name,
        "creation_time": created,
        "size": len(data),
        "checksum": hashlib.sha256(data).hexdigest(),
    }
