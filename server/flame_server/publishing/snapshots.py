"""Takes and lists snapshots of the collections of an alias, and removes old ones."""

import asyncio
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from flame_server.answers import Bounds, bound
from flame_server.errors import FlameMcpError, UnavailableError
from flame_server.qdrant.connection import QdrantTarget, explained, trusted
from flame_server.qdrant.generations import alias_target, generations
from flame_server.qdrant.retries import retrying_client

if TYPE_CHECKING:
    import httpx
    from qdrant_client import AsyncQdrantClient

Report = Callable[[str], None]
TIMEOUT_SECONDS = 600
"""Qdrant answers only when the snapshot is written, which takes long on slow volumes."""
_BLOCK = 1024 * 1024
# File systems take 255, and a name gets six more while the file is written.
_MAX_NAME_BYTES = 240


@dataclass(frozen=True)
class Snapshot:
    """A snapshot in Qdrant's own folder.

    Attributes:
        created: UTC, ISO 8601; empty when the server doesn't say.
        size: In bytes.
        checksum: SHA-256; None when the server doesn't say.
    """

    collection: str
    name: str
    created: str
    size: int
    checksum: str | None = None

    @property
    def age(self) -> tuple[str, str]:
        """Sort key: older ones first."""
        return self.created, self.name

    def as_dict(self) -> dict[str, Any]:
        """The snapshot as JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Taken:
    """A new snapshot, the older ones that were removed, and the file of its copy if one was requested."""

    snapshot: Snapshot
    removed: Sequence[Snapshot]
    file: Path | None

    def as_result(self) -> dict[str, Any]:
        """The result of the command."""
        return {
            "snapshot": self.snapshot.name,
            "snapshotOf": self.snapshot.collection,
            "bytes": self.snapshot.size,
            "removed": len(self.removed),
        }


def take_snapshot(target: QdrantTarget, keep: int, report: Report, download: Path | None = None) -> Taken:
    """Takes a snapshot of the collection of the alias, then keeps the newest `keep` of all its collections.

    With `download`, a copy is saved in that folder; older snapshots are removed only after that.

    Raises:
        FlameMcpError: There is no such alias, Qdrant refuses, or the copy is damaged.
    """
    if download:
        try:
            download.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FlameMcpError(f"cannot write to {download}: {error.strerror or error}") from error
    return asyncio.run(_take(target, keep, report, download))


def list_snapshots(target: QdrantTarget, report: Report) -> Sequence[Snapshot]:
    """The snapshots of all collections of the alias, the oldest first.

    Raises:
        FlameMcpError: Qdrant refuses.
    """

    async def listed() -> Sequence[Snapshot]:
        async with retrying_client(target, report) as client:
            return await snapshots_of(client, target)

    return asyncio.run(listed())


async def _take(target: QdrantTarget, keep: int, report: Report, download: Path | None) -> Taken:
    async with retrying_client(target, report, seconds=TIMEOUT_SECONDS) as client:
        collection = await alias_target(client, target)
        if collection is None:
            raise FlameMcpError(
                f"there is no alias {target.collection} at {target.url}, so there is nothing to take a "
                "snapshot of: publish an index first"
            )
        made = await client.create_snapshot(collection, wait=True)
        if made is None:
            raise UnavailableError(f"Qdrant at {target.url} has made no snapshot of {collection}")
        taken = _snapshot(collection, made)
        report(f"took {taken.name}, {taken.size} bytes")
        file = await _download(target, taken, download, report) if download else None
        known = await snapshots_of(client, target)
        others = [one for one in known if (one.collection, one.name) != (taken.collection, taken.name)]
        # The new one stays, however old the server's clock makes it.
        unwanted = others[: max(len(others) - (keep - 1), 0)]
        for one in unwanted:
            await client.delete_snapshot(one.collection, one.name, wait=True)
            report(f"removed {one.name}")
    return Taken(taken, unwanted, file)


async def snapshots_of(client: "AsyncQdrantClient", target: QdrantTarget) -> Sequence[Snapshot]:
    """The snapshots of all collections of the alias, the oldest first."""
    names = {one.name for one in await generations(client, target.collection)}
    # The alias may point to a collection that another release published.
    if current := await alias_target(client, target):
        names.add(current)
    found = [_snapshot(name, one) for name in sorted(names) for one in await client.list_snapshots(name)]
    return sorted(found, key=lambda one: one.age)


def _snapshot(collection: str, described: Any) -> Snapshot:  # noqa: ANN401 - its type is imported only when used
    return Snapshot(
        collection, described.name, described.creation_time or "", described.size, described.checksum
    )


async def _download(target: QdrantTarget, snapshot: Snapshot, folder: Path, report: Report) -> Path:
    """Downloads a snapshot to a file in `folder`, which gets its final name only when it is complete."""
    name = snapshot.name
    if Path(name).name != name or not name.isprintable() or len(name.encode()) > _MAX_NAME_BYTES:
        raise FlameMcpError(f"{target.url} names a snapshot {name[:60]!r}, which is not a file name")
    file, part = folder / snapshot.name, folder / f".{snapshot.name}.part"
    try:
        found = await _received(target, snapshot, part)
        if snapshot.checksum and found != snapshot.checksum.lower():
            raise UnavailableError(
                f"{snapshot.name} was damaged on the way: its SHA-256 is {found}, download it again"
            )
        part.replace(file)
    except OSError as error:
        raise FlameMcpError(f"cannot write {file}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
    report(f"downloaded {file}")
    return file


def _bounded(client: "httpx.AsyncClient", size: int) -> "httpx.AsyncClient":
    # With what chunks of the transfer may add.
    bound(client, Bounds(bytes=size + size // 64, nodes=None))
    return client


async def _received(target: QdrantTarget, snapshot: Snapshot, part: Path) -> str:
    """Writes the server's answer to `part` and returns its SHA-256."""
    import httpx  # noqa: PLC0415 - see connect
    from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse  # noqa: PLC0415

    collection, name = quote(snapshot.collection, ""), quote(snapshot.name, "")
    url = f"{target.url.rstrip('/')}/collections/{collection}/snapshots/{name}"
    headers = {"api-key": target.api_key} if target.api_key else {}
    digest = hashlib.sha256()
    with explained(target):
        try:
            async with (
                # Qdrant's client would parse the file as JSON.
                httpx.AsyncClient(verify=trusted(target), headers=headers, timeout=TIMEOUT_SECONDS) as client,
                _bounded(client, snapshot.size).stream("GET", url) as response,
            ):
                if response.status_code != 200:
                    # Without its body: one could be as long as the snapshot.
                    raise UnexpectedResponse(
                        response.status_code, response.reason_phrase, b"", response.headers
                    )
                with part.open("wb") as out:
                    async for block in response.aiter_raw(_BLOCK):
                        digest.update(block)
                        out.write(block)
                    out.flush()
                    os.fsync(out.fileno())
        except httpx.HTTPError as error:
            raise ResponseHandlingException(error) from error
    return digest.hexdigest()
