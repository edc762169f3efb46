"""What the commands below `flame-mcp index` share: how they name a Qdrant server and an alias there."""

import re
from typing import TYPE_CHECKING

import click

from flame_server.commands.common import configured

if TYPE_CHECKING:
    from flame_server.publishing.owners import Owner
    from flame_server.qdrant.connection import QdrantTarget

_OWNER = re.compile(r"[-A-Za-z0-9._/@:]{1,192}")

qdrant_option = click.option(
    "--qdrant", "url", envvar="FLAME_MCP_QDRANT_URL", required=True, help="Address of the server."
)
collection_option = click.option(
    "--collection",
    envvar="FLAME_MCP_QDRANT_COLLECTION",
    default="flame-docs",
    show_default=True,
    help="Alias that servers read.",
)


def _owner_name(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value and not _OWNER.fullmatch(value):
        raise click.BadParameter("give at most 192 letters, digits and - . _ / @ :")
    return value or None


owner_option = click.option(
    "--owner",
    callback=_owner_name,
    help="Who publishes, such as a team: kept with the collection. Aliases of other owners stay.",
)
take_over_option = click.option(
    "--take-over",
    "take_over",
    metavar="OWNER",
    callback=_owner_name,
    help="Take the alias of this owner over.",
)


def owner_of(owner: str | None, take_over: str | None = None) -> "Owner":
    """Who publishes."""
    from flame_server.publishing.owners import Owner  # noqa: PLC0415

    return Owner(owner, take_over)


def target_of(url: str, collection: str) -> "QdrantTarget":
    """A Qdrant server and an alias there, with the API key and the CA file of the settings."""
    from flame_server.qdrant.connection import qdrant_target  # noqa: PLC0415

    options = {"vector_store_type": "Qdrant", "qdrant_url": url, "qdrant_collection": collection}
    # These commands embed nothing, so no embedding settings are needed.
    return qdrant_target(*configured(**options, embedding_type="None"))
