"""Tries every connection that the settings of the server ask for: `flame-mcp check`."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from flame_server.credentials import Credentials
from flame_server.embedding.choice import embedding_of
from flame_server.embedding.errors import EmbeddingError
from flame_server.embedding.identity import EmbeddingIdentity
from flame_server.embedding.local import LocalEmbedder
from flame_server.embedding.queries import TIMEOUT_SECONDS
from flame_server.embedding.service import EmbeddingService, ServiceModel
from flame_server.errors import FlameMcpError
from flame_server.index.manifest import check_embedding, read_manifest, rebuild_hint
from flame_server.index.verify import verify_index
from flame_server.qdrant.connection import qdrant_target
from flame_server.search.factory import open_search_service
from flame_server.serving.edge.auth import IssuerAwayError
from flame_server.serving.metrics import Metrics
from flame_server.settings import Settings

_QUESTION = "camera"


@dataclass(frozen=True)
class Step:
    """One connection that was tried: its result, or how to fix it."""

    name: str
    status: Literal["ok", "failed"]
    milliseconds: float
    detail: str

    def as_dict(self) -> dict[str, Any]:
        """The step as JSON."""
        return asdict(self)


def run_checks(settings: Settings, credentials: Credentials) -> Sequence[Step]:
    """Tries each connection that the settings ask for, in turn. A failure does not stop the rest."""
    checks: list[tuple[str, Callable[[], str]]] = []
    if settings.vector_store_type == "Embedded":
        checks.append(("index", lambda: _index(settings)))
    else:
        checks.append(("qdrant", lambda: _qdrant(settings, credentials)))
    if settings.embedding_type != "None":
        checks.append(("embedding", lambda: _embedding(settings, credentials)))
    checks.append(("question", lambda: _question(settings, credentials)))
    if settings.auth_type == "Bearer":
        checks.append(("token", lambda: f"{len(credentials.auth_token or '')} characters"))
    elif settings.auth_oidc_issuer:
        issuer = settings.auth_oidc_issuer
        checks.append(("issuer", lambda: _issuer(issuer)))
    return [_tried(name, check) for name, check in checks]


def as_table(steps: Sequence[Step]) -> str:
    """The steps as a table."""
    width = max(len(step.name) for step in steps)
    lines = [
        f"{step.name:<{width}}  {step.status:<6}  {step.milliseconds:>7.0f} ms  {step.detail}"
        for step in steps
    ]
    return "\n".join(lines)


def _tried(name: str, check: Callable[[], str]) -> Step:
    started = time.monotonic()
    status: Literal["ok", "failed"] = "failed"
    try:
        detail = check()
        status = "ok"
    except (FlameMcpError, IssuerAwayError) as error:
        detail = str(error)
    return Step(name, status, round((time.monotonic() - started) * 1000, 1), detail)


def _index(settings: Settings) -> str:
    return _summary(verify_index(settings.index_dir))


def _summary(index: dict[str, Any]) -> str:
    size = f"{index['documents']} pages, {index['chunks']} chunks"
    return f"{size}, version {', '.join(index['versions'])}, {index['embedding']}"


def _qdrant(settings: Settings, credentials: Credentials) -> str:
    from flame_server.search.qdrant import QdrantSearcher  # noqa: PLC0415 - only where it is used

    async def look() -> dict[str, Any]:
        # The step "embedding" checks what the vectors were built with.
        searcher = QdrantSearcher(
            qdrant_target(settings, credentials), EmbeddingIdentity("None"), None, len, lambda _: None
        )
        try:
            await searcher.check()
            return searcher.index or {}
        finally:
            await searcher.close()

    return _summary(asyncio.run(look()))


def _embedding(settings: Settings, credentials: Credentials) -> str:
    embedding = embedding_of(settings, credentials)
    if isinstance(embedding, ServiceModel):
        dimensions = asyncio.run(_ask(embedding))
        identity = embedding.identity
    else:
        local = LocalEmbedder()
        dimensions, identity = len(local.embed_query(_QUESTION)), local.identity
    if settings.vector_store_type == "Embedded":
        folder = settings.index_dir
        manifest = read_manifest(folder)
        check_embedding(manifest, identity, f"the index in {folder}", rebuild_hint(folder))
        if manifest.embedding.dimensions != dimensions:
            raise FlameMcpError(
                f"{identity.model} gives {dimensions} dimensions, the index in {folder} has "
                f"{manifest.embedding.dimensions}: set the dimensions that it was built with"
            )
    return f"{identity.model}, {dimensions} dimensions"


async def _ask(model: ServiceModel) -> int:
    service = EmbeddingService(model, retries=0, seconds=TIMEOUT_SECONDS)
    try:
        return int((await service.embed([_QUESTION])).vectors.shape[1])
    finally:
        await service.close()


def _question(settings: Settings, credentials: Credentials) -> str:
    service = open_search_service(settings, credentials, Metrics())

    async def ask() -> str:
        try:
            answer = await service.answer(_QUESTION, 1, None)
        finally:
            await service.close()
        if answer.degraded:
            raise EmbeddingError("service", "it is answered by words only: see the step embedding")
        if not answer.found:
            raise FlameMcpError(f"nothing is found for {_QUESTION!r}: build the index from the Flame docs")
        return " > ".join(answer.found[0].chunk.breadcrumb)

    return asyncio.run(ask())


def _issuer(issuer: str) -> str:
    from flame_server.serving.edge.oidc import fetch_keys  # noqa: PLC0415 - only where it is used

    keys = asyncio.run(fetch_keys(issuer))
    if not keys:
        raise FlameMcpError(f"{issuer} publishes no key to check signatures with")
    return f"{len(keys)} keys of {issuer}"
