"""Restores a snapshot: into a new collection, which is checked before the alias moves."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from uuid import uuid4

from flame_server.errors import FlameMcpError, UnavailableError
from flame_server.index.manifest import Manifest, parse_manifest
from flame_server.publishing.copies import peers_of
from flame_server.publishing.owners import NOBODY, Owner, claim
from flame_server.publishing.publish import Published, Report
from flame_server.publishing.snapshots import TIMEOUT_SECONDS, snapshots_of
from flame_server.qdrant.connection import METADATA, QdrantTarget, connect, explained
from flame_server.qdrant.generations import alias_target, move_alias
from flame_server.qdrant.retries import retrying_client

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient

    Bring = Callable[[AsyncQdrantClient, str], Awaitable[None]]

SERVER_FOLDER = PurePosixPath("/qdrant/snapshots")
"""Where Qdrant's image keeps snapshots."""
SETTLE_SECONDS = 30.0
"""How long peers of a cluster may take to agree on whose copy is the restored one."""
LOOK_SECONDS = 0.5
# Statuses that say nothing about the snapshot.
_NOT_ITS_FAULT = {401, 403, 429, 502, 503, 504, 507}
_SHOWN = 5


def restore_file(target: QdrantTarget, file: Path, report: Report, owner: Owner = NOBODY) -> Published:
    """Uploads a snapshot as a new collection and points the alias to it.

    Raises:
        FlameMcpError: There is no such file, Qdrant refuses it, it is not a complete index, or the alias is
            somebody else's. The alias has not moved, and the new collection is removed.
    """
    if not file.is_file():
        raise FlameMcpError(f"there is no snapshot {file}")

    async def bring(_: "AsyncQdrantClient", name: str) -> None:
        await _upload(target, name, file)

    return asyncio.run(_restore(target, file.name, bring, report, owner))


def restore_kept(
    target: QdrantTarget,
    wanted: str,
    report: Report,
    folder: PurePosixPath = SERVER_FOLDER,
    owner: Owner = NOBODY,
) -> Published:
    """Does the same with a snapshot in Qdrant's own folder, whose path on the server is `folder`.

    `wanted` is its name, or COLLECTION/NAME when its collection was removed: Qdrant then keeps the file, but
    no longer lists it.

    Raises:
        FlameMcpError: See `restore_file`.
    """

    async def bring(client: "AsyncQdrantClient", name: str) -> None:
        await _recover(client, target, name, wanted, folder)

    return asyncio.run(_restore(target, wanted, bring, report, owner))


async def _restore(
    target: QdrantTarget, what: str, bring: "Bring", report: Report, owner: Owner
) -> Published:
    name = f"{target.collection}__restored-{datetime.now(UTC):%Y%m%d%H%M%S}-{uuid4().hex[:6]}"
    async with retrying_client(target, report, seconds=TIMEOUT_SECONDS) as client:
        before = await claim(client, target, owner, report)
        report(f"restoring {what} as {name}")
        try:
            await bring(client, name)
            manifest = await _checked(client, target, name, what, owner)
            now = await claim(client, target, owner, report)
            await move_alias(client, target.collection, name, replaces=now is not None)
        except BaseException:
            # What has gone wrong before is what has to be told.
            with suppress(UnavailableError):
                # Perhaps only an answer was lost and the alias has moved: the collection in use must stay.
                if await alias_target(client, target) != name:
                    await client.delete_collection(name)
            raise
    report(
        f"{target.collection} points to {name} now" + (f", and pointed to {before} before" if before else "")
    )
    return Published(name, before, manifest)


async def _upload(target: QdrantTarget, name: str, file: Path) -> None:
    from qdrant_client import models  # noqa: PLC0415 - see connect

    # No retries: an upload takes long, and a second try would end the same way.
    client = connect(target, TIMEOUT_SECONDS)
    try:
        with _accepted(target, file.name), file.open("rb") as content:
            await client.http.snapshots_api.recover_from_uploaded_snapshot(
                name, wait=True, priority=models.SnapshotPriority.SNAPSHOT, snapshot=content
            )
    except OSError as error:
        raise FlameMcpError(f"cannot read {file}: {error.strerror or error}") from error
    finally:
        # Qdrant keeps the uploaded file as a snapshot of the new collection, where nobody needs it.
        with suppress(UnavailableError), explained(target):
            await client.delete_snapshot(name, file.name)
        await client.close()


async def _recover(
    client: "AsyncQdrantClient", target: QdrantTarget, name: str, wanted: str, folder: PurePosixPath
) -> None:
    from qdrant_client import models  # noqa: PLC0415 - see connect

    known = await snapshots_of(client, target)
    collection, _, file = wanted.rpartition("/")
    found = next((one for one in known if one.name == file and collection in {"", one.collection}), None)
    if found is None and not collection:
        newest = ", ".join(one.name for one in reversed(known[-_SHOWN:])) or "none at all"
        raise FlameMcpError(
            f"Qdrant at {target.url} lists no snapshot {wanted} of {target.collection}; it has {newest}"
        )
    path = folder / (found.collection if found else collection) / file
    if ".." in path.parts:
        raise FlameMcpError(f"{wanted} is not the name of a snapshot: give one that index snapshots lists")
    plain = connect(target, TIMEOUT_SECONDS)
    try:
        with _accepted(target, wanted):
            await plain.recover_snapshot(
                name,
                path.as_uri(),
                checksum=found.checksum if found else None,
                priority=models.SnapshotPriority.SNAPSHOT,
                wait=True,
            )
    finally:
        await plain.close()


@contextmanager
def _accepted(target: QdrantTarget, what: str) -> Iterator[None]:
    """Distinguishes a snapshot that Qdrant does not accept from a Qdrant that is unavailable.

    Raises:
        FlameMcpError: The snapshot is the problem.
        UnavailableError: Qdrant or its API key is the problem.
    """
    try:
        with explained(target):
            yield
    except UnavailableError as error:
        status = getattr(error.__cause__, "status_code", None)
        words = _words(error.__cause__)
        if status is None or status in _NOT_ITS_FAULT or "No space left" in words:
            raise
        told = words or f"HTTP {status}"
        raise FlameMcpError(
            f"Qdrant at {target.url} does not accept {what}: {told}. "
            "The snapshot is damaged, gone, or from a newer Qdrant"
        ) from error


def _words(cause: BaseException | None) -> str:
    """The error message in the server's answer."""
    try:
        said = str(json.loads(getattr(cause, "content", b""))["status"]["error"])[:300]
        return "".join(character for character in said if character.isprintable())
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


async def _count(
    client: "AsyncQdrantClient",
    name: str,
    wanted: int,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> int:
    """How many chunks a restored collection holds.

    One peer of a cluster restores the snapshot, and says so before the others know that their copies, which
    are empty, don't count.
    """
    until = time.monotonic() + (SETTLE_SECONDS if len(await peers_of(client)) > 1 else 0.0)
    while (found := (await client.count(name, exact=True)).count) != wanted and time.monotonic() < until:
        await sleep(LOOK_SECONDS)
    return found


async def _checked(
    client: "AsyncQdrantClient", target: QdrantTarget, name: str, what: str, owner: Owner
) -> Manifest:
    """The manifest of a collection that holds a complete index. It belongs to the alias and its owner now.

    Raises:
        FlameMcpError: It does not hold a complete index.
    """
    kept = ((await client.get_collection(name)).config.metadata or {}).get(METADATA)
    if not isinstance(kept, dict):
        raise FlameMcpError(f"{what} holds no index of this server: give another snapshot")
    manifest = parse_manifest(kept.get("manifest"), what, "give another snapshot")
    count = await _count(client, name, manifest.chunks)
    if not count or count != manifest.chunks:
        raise FlameMcpError(
            f"{what} holds {count} chunks, not the {manifest.chunks} of its manifest: give another snapshot"
        )
    own = {"alias": target.collection, "owner": owner.name}
    if {key: kept.get(key) for key in own} != own:
        # Otherwise it would belong to no alias and would never be removed.
        await client.update_collection(name, metadata={METADATA: {**kept, **own}})
    return manifest
