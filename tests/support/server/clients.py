"""Everything with which the server and its Jobs connect to others."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

from flame_server.embedding.service import ServiceModel
from flame_server.qdrant.connection import QdrantTarget, connect
from flame_server.serving.edge import oidc
from flame_server.sources import archive, web
from tests.support.server.embedding_service import embed


async def _qdrant(url: str) -> None:
    client = connect(QdrantTarget(url, "docs"), 5)
    try:
        await client.get_collections()
    finally:
        await client.close()


CLIENTS: dict[str, Callable[[str, Path], object]] = {
    "embeddings": lambda url, _: asyncio.run(embed(ServiceModel("OpenAI", f"{url}/v1", "any"), "x")),
    "issuer": lambda url, _: asyncio.run(oidc.fetch_keys(url)),
    "traces": lambda url, _: OTLPSpanExporter(f"{url}/v1/traces", timeout=3).export([]),
    "git": lambda url, _: web.pool(url, None).request("GET", f"{url}/docs.git"),
    "archive": lambda url, folder: archive.download(f"{url}/docs.zip", None, folder / "docs.zip"),
    "Qdrant": lambda url, _: asyncio.run(_qdrant(url)),
}
