"""Publishes an index: loads it into a new collection, checks it, then moves the alias. Also rolls back."""

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_server.errors import FlameMcpError, HeldBackError, UnavailableError
from flame_server.index import files
from flame_server.index.files import IndexData
from flame_server.index.manifest import Manifest, read_manifest, rebuild_hint
from flame_server.publishing.checks import Checks, find_problem
from flame_server.publishing.collection import collection_name, fill_collection
from flame_server.publishing.copies import PEERS_SECONDS, Copies, make_copies, wait_for_peers
from flame_server.publishing.owners import NOBODY, Owner, claim
from flame_server.qdrant.connection import QdrantTarget
from flame_server.qdrant.generations import (
    Generation,
    generations,
    move_alias,
    named,
    previous,
    same_content,
)
from flame_server.qdrant.retries import retrying_client

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient

Report = Callable[[str], None]


@dataclass(frozen=True)
class Published:
    """What the alias points to now.

    Attributes:
        collection: The collection.
        previous: The one before; None when there was none.
        copies: The copies in a cluster; None when one was enough, or when Qdrant didn't tell.
    """

    collection: str
    previous: str | None
    manifest: Manifest
    copies: Copies | None = None

    def as_result(self) -> dict[str, Any]:
        """The result of the command."""
        summary = self.manifest.summary()
        return {
            "collection": self.collection,
            "previous": self.previous,
            "version": summary["version"],
            "documents": summary["documents"],
            "chunks": summary["chunks"],
            "skipped": sum(version.skipped for version in self.manifest.versions),
            "sourceRevision": summary["revision"] or "",
            "embedding": summary["embedding"],
            **(self.copies.as_result() if self.copies else {}),
        }


def publish_index(
    folder: Path,
    target: QdrantTarget,
    report: Report,
    checks: Checks | None = None,
    owner: Owner = NOBODY,
) -> Published:
    """Loads the index in `folder` and points the alias of `target` to it. Readers see the old one until then.

    Raises:
        FlameMcpError: The index is damaged, the alias is somebody else's, or Qdrant does not accept the
            index. The alias has not moved.
        HeldBackError: The new collection fails a check. It is kept for inspection; the alias has not moved.
    """
    manifest = read_manifest(folder)
    generation = folder / manifest.generation
    try:
        files.check(generation, manifest.checksums)
    except FlameMcpError as error:
        raise FlameMcpError(f"{error}: {rebuild_hint(folder)}") from error
    return asyncio.run(
        _on_all_peers(manifest, files.read(generation), target, report, checks or Checks(), owner)
    )


async def _on_all_peers(  # noqa: PLR0913, PLR0917 - all that a publication needs
    manifest: Manifest, data: IndexData, target: QdrantTarget, report: Report, checks: Checks, owner: Owner
) -> Published:
    """Publishes once all peers are there, and makes the copies that older collections lack."""
    if checks.replicas == 1:
        return await _publish(manifest, data, target, report, checks, owner)
    async with retrying_client(target, report) as client:
        await wait_for_peers(client, target, checks.replicas, report)
        found = await _publish(manifest, data, target, report, checks, owner)
        # It is published: copies that are missing don't make that a failure.
        try:
            copies = await make_copies(client, target, checks.replicas, report, PEERS_SECONDS)
        except UnavailableError as error:
            report(f"warning: {error}; copies may be missing")
            return found
        return replace(found, copies=copies)


def roll_back(target: QdrantTarget, report: Report, owner: Owner = NOBODY) -> Published:
    """Points the alias to the index before the current one, which is kept.

    Raises:
        FlameMcpError: There is no index before, the alias is somebody else's, or Qdrant does not accept the
            change.
    """
    return asyncio.run(_roll_back(target, report, owner))


async def _roll_back(target: QdrantTarget, report: Report, owner: Owner) -> Published:
    async with retrying_client(target, report) as client:
        current = await claim(client, target, owner, report)
        known = await generations(client, target.collection)
        # Never to one of another owner, which would get the alias back with it.
        before = previous([one for one in known if one.owner in {None, owner.name}], current)
        if current is None or before is None:
            raise FlameMcpError(
                f"there is no index before {current or 'the first'} at {target.url}: publish one instead"
            )
        await move_alias(client, target.collection, before.name, replaces=True)
        await claim(client, target, owner, report)
        report(f"{target.collection} points to {before.name} again, and pointed to {current} before")
        return Published(before.name, current, before.manifest)


async def _publish(  # noqa: PLR0913, PLR0917 - what, where to, and on which terms
    manifest: Manifest, data: IndexData, target: QdrantTarget, report: Report, checks: Checks, owner: Owner
) -> Published:
    name = collection_name(target.collection, manifest)
    async with retrying_client(target, report) as client:
        before = await claim(client, target, owner, report)
        found = await generations(client, target.collection)
        known = [one for one in found if owner.may_have(one.owner)]
        current = named(known, before)
        if current and current.complete and same_content(current.manifest, manifest):
            report(f"{target.collection} already points to {current.name}, which holds the same")
            return Published(current.name, None, current.manifest)
        # Collections that an interrupted run left behind.
        await _remove(client, [one for one in known if not one.complete and one.name != before])
        # The collection in use is incomplete, so the same index is loaded again beside it; or the name is
        # another owner's.
        while name == before or named([one for one in found if one not in known], name):
            name = f"{name}-again"
        await client.delete_collection(name)
        try:
            await fill_collection(client, name, manifest, data, target, report, checks.replicas, owner.name)
            problem = await find_problem(target, name, manifest, data, current, checks)
            # Loading takes a while, in which somebody else may have taken the alias.
            now = await claim(client, target, owner, report)
        except BaseException:
            # The first error is the one to report.
            with suppress(UnavailableError):
                await client.delete_collection(name)
            raise
        older = previous(known, before)
        kept = {name, before, older.name if older else None}
        # Removed now: these were held back or rolled back from, and a rollback must not take one of them for
        # the index before.
        await _remove(client, [one for one in known if one.name not in kept])
        if problem:
            raise HeldBackError(
                f"{problem}. {target.collection} still points to {before or 'nothing'}; {name} is kept "
                "for inspection. Fix the sources, or lower ingestion.minimumChunksPercent (--min-ratio)"
            )
        await move_alias(client, target.collection, name, replaces=now is not None)
        report(
            f"{target.collection} points to {name} now"
            + (f", and pointed to {before} before" if before else "")
        )
        await _remove(client, [one for one in known if one.name not in {name, before}])
    return Published(name, before, manifest)


async def _remove(client: "AsyncQdrantClient", unwanted: Collection[Generation]) -> None:
    for one in unwanted:
        await client.delete_collection(one.name)
