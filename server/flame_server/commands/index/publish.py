"""`flame-mcp index publish`, `rollback` and `replicate`: which index an alias points to, and its copies."""

from pathlib import Path

import click

from flame_server.commands import outcome
from flame_server.commands.common import index_option, report, tell
from flame_server.commands.index.options import (
    collection_option,
    owner_of,
    owner_option,
    qdrant_option,
    take_over_option,
    target_of,
)


@click.command(cls=outcome.Step)
@index_option
@qdrant_option
@collection_option
@click.option(
    "--min-ratio",
    envvar="FLAME_MCP_MIN_RATIO",
    type=click.FloatRange(0, 1),
    default=0.9,
    show_default=True,
    help="Smallest share of chunks that it may have, compared with the index in use; 0 accepts any.",
)
@click.option("--canary", default="", help="A question that it must answer (default: one from its own text).")
@click.option(
    "--replicas",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="On how many nodes of a Qdrant cluster it is kept.",
)
@owner_option
@take_over_option
def publish(  # noqa: PLR0913, PLR0917 - one argument an option, passed by name
    index: Path,
    url: str,
    collection: str,
    min_ratio: float,
    canary: str,
    replicas: int,
    owner: str | None,
    take_over: str | None,
) -> None:
    """Load an index into a Qdrant server, check it there, and point the alias to it.

    FLAME_MCP_QDRANT_API_KEY_FILE and FLAME_MCP_QDRANT_CA_FILE are used as by serve; the key must allow
    writing. When a check fails, the new index stays in its own collection and the alias does not move.
    """
    from flame_server.publishing.checks import Checks  # noqa: PLC0415
    from flame_server.publishing.publish import publish_index  # noqa: PLC0415

    target, checks = target_of(url, collection), Checks(min_ratio, canary, replicas)
    found = publish_index(index, target, report, checks, owner_of(owner, take_over))
    tell(f"published {found.collection} as {collection}")
    outcome.write_result("publish", found.as_result())


@click.command(cls=outcome.Step)
@qdrant_option
@collection_option
@owner_option
def rollback(url: str, collection: str, owner: str | None) -> None:
    """Point the alias to the index that it had before the current one."""
    from flame_server.publishing.publish import roll_back  # noqa: PLC0415

    found = roll_back(target_of(url, collection), report, owner_of(owner))
    tell(f"{collection} points to {found.collection}")
    outcome.write_result("rollback", found.as_result())


@click.command(cls=outcome.Step)
@qdrant_option
@collection_option
@click.option("--replicas", type=click.IntRange(1), required=True, help="On how many nodes it should be.")
def replicate(url: str, collection: str, replicas: int) -> None:
    """Make the copies that an alias's collections lack on the nodes of a Qdrant cluster.

    It waits until all nodes have joined and all copies are complete, and may be repeated.
    """
    from flame_server.publishing.copies import complete_copies  # noqa: PLC0415

    found = complete_copies(target_of(url, collection), replicas, report)
    tell(f"{found.copies} copies on {found.peers} peers")
    outcome.write_result("replicate", found.as_result())
