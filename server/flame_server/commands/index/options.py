"""What the commands below `flame-mcp index` share: how they name a Qdrant server and an alias there."""

from typing import TYPE_CHECKING

import click

from flame_server.commands.common import configured

if TYPE_CHECKING:
    from flame_server.qdrant.connection import QdrantTarget

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


def target_of(url: str, collection: str) -> "QdrantTarget":
    """A Qdrant server and an alias there, with the API key and the CA file of the settings."""
    from flame_server.qdrant.connection import qdrant_target  # noqa: PLC0415

    options = {"vector_store_type": "Qdrant", "qdrant_url": url, "qdrant_collection": collection}
    # These commands embed nothing, so no embedding settings are needed.
    return qdrant_target(*configured(**options, embedding_type="None"))
