"""`flame-mcp index snapshot`, `snapshots` and `restore`: backups of the index in Qdrant."""

import json
from pathlib import Path, PurePosixPath

import click

from flame_server.commands import outcome
from flame_server.commands.common import json_option, plain_errors, report, tell
from flame_server.commands.index.options import (
    collection_option,
    owner_of,
    owner_option,
    qdrant_option,
    take_over_option,
    target_of,
)


@click.command(cls=outcome.Step)
@qdrant_option
@collection_option
@click.option(
    "--keep",
    type=click.IntRange(1),
    default=7,
    show_default=True,
    help="How many to keep; older ones of this alias are removed.",
)
@click.option(
    "--download",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for a copy; nothing is removed before the copy is complete.",
)
def snapshot(url: str, collection: str, keep: int, download: Path | None) -> None:
    """Take a snapshot of the index in a Qdrant server, and remove the oldest ones.

    FLAME_MCP_QDRANT_API_KEY_FILE and FLAME_MCP_QDRANT_CA_FILE are used as by index publish. A Qdrant
    cluster keeps a snapshot on the node that took it: let --qdrant name one node there.
    """
    from flame_server.publishing.snapshots import take_snapshot  # noqa: PLC0415

    taken = take_snapshot(target_of(url, collection), keep, report, download)
    tell(str(taken.file or taken.snapshot.name))
    outcome.write_result("snapshot", taken.as_result())


@click.command()
@qdrant_option
@collection_option
@json_option
@plain_errors
def snapshots(url: str, collection: str, as_json: bool) -> None:
    """List the snapshots of an alias's collections, the oldest first."""
    from flame_server.publishing.snapshots import list_snapshots  # noqa: PLC0415

    found = list_snapshots(target_of(url, collection), report)
    if as_json:
        click.echo(json.dumps([one.as_dict() for one in found]))
        return
    for one in found:
        tell(f"{one.created:<20} {one.size / 1024**2:>9.1f} MiB  {one.collection}  {one.name}")
    if not found:
        click.echo("there are none")


@click.command(cls=outcome.Step)
@qdrant_option
@collection_option
@click.option("--file", type=click.Path(path_type=Path, dir_okay=False), help="A downloaded snapshot.")
@click.option(
    "--snapshot",
    "name",
    help="A snapshot in Qdrant's folder: its name, or COLLECTION/NAME when its collection is gone.",
)
@click.option(
    "--server-folder",
    type=click.Path(path_type=PurePosixPath),
    default=PurePosixPath("/qdrant/snapshots"),
    show_default=True,
    help="Where the server has that folder.",
)
@owner_option
@take_over_option
def restore(  # noqa: PLR0913, PLR0917 - one argument an option, passed by name
    url: str,
    collection: str,
    file: Path | None,
    name: str | None,
    server_folder: PurePosixPath,
    owner: str | None,
    take_over: str | None,
) -> None:
    """Restore a snapshot into a Qdrant server as a new collection, check it, and point the alias to it.

    If it is not a complete index, the new collection is removed and the alias does not move.
    """
    if (file is None) == (name is None):
        raise click.UsageError("give either --file or --snapshot")
    from flame_server.publishing.restore import restore_file, restore_kept  # noqa: PLC0415

    target, who = target_of(url, collection), owner_of(owner, take_over)
    found = (
        restore_file(target, file, report, who)
        if file is not None
        else restore_kept(target, name or "", report, server_folder, who)
    )
    tell(f"restored {found.collection} as {collection}")
    outcome.write_result("restore", found.as_result())
