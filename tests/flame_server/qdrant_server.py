"""A server that speaks the part of Qdrant's REST that we use, over the client's own engine in memory."""

import asyncio
import json
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from qdrant_client import QdrantClient, models
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.flame_server.server_process import free_port, wait_for

KEY = "qdrant-s3cret"


class QdrantStandIn:
    """Collections, aliases, points and queries.

    Attributes:
        failing: Each request is answered with this status, when it is set.
        requests: Method and path of each request.
    """

    def __init__(self, key: str | None) -> None:
        self.url = ""
        self.failing: int | None = None
        self.requests: list[tuple[str, str]] = []
        self._key = key
        self._engine = QdrantClient(":memory:")
        name = "/collections/{name}"
        self.app = Starlette(
            routes=[
                Route("/collections", self._of(lambda _: self._engine.get_collections())),
                Route("/aliases", self._of(lambda _: self._engine.get_aliases())),
                Route("/collections/aliases", self._of(self._alias), methods=["POST"]),
                Route(name, self._of(lambda r: self._engine.get_collection(self._name(r))), methods=["GET"]),
                Route(name, self._of(self._create), methods=["PUT"]),
                Route(name, self._of(self._delete), methods=["DELETE"]),
                Route(
                    f"{name}/index",
                    self._of(lambda _: {"status": "completed", "operation_id": 0}),
                    methods=["PUT"],
                ),
                Route(f"{name}/points", self._of(self._upsert), methods=["PUT"]),
                Route(f"{name}/points/count", self._of(self._count), methods=["POST"]),
                Route(f"{name}/points/query", self._of(self._query), methods=["POST"]),
            ]
        )

    def _of(self, action: Any) -> Any:  # noqa: ANN401
        async def endpoint(request: Request) -> JSONResponse:
            self.requests.append((request.method, request.url.path))
            if self.failing:
                return JSONResponse({"status": {"error": "failing"}}, self.failing)
            if self._key and request.headers.get("api-key") != self._key:
                return JSONResponse({"status": {"error": "Must provide an API key"}}, 401)
            request.state.body = json.loads(await request.body() or b"null")
            try:
                result = action(request)
            except (ValueError, KeyError) as error:
                missing = "not found" in str(error) or isinstance(error, KeyError)
                return JSONResponse({"status": {"error": str(error)}}, 404 if missing else 400)
            content = result.model_dump(mode="json") if hasattr(result, "model_dump") else result
            return JSONResponse({"result": content, "status": "ok", "time": 0.0})

        return endpoint

    def _name(self, request: Request) -> str:
        return str(request.path_params["name"])

    def _create(self, request: Request) -> bool:
        wanted = models.CreateCollection.model_validate(request.state.body)
        return self._engine.create_collection(
            self._name(request),
            vectors_config=wanted.vectors,
            sparse_vectors_config=wanted.sparse_vectors,
            metadata=wanted.metadata,
        )

    def _delete(self, request: Request) -> bool:
        return self._engine.delete_collection(self._name(request))

    def _alias(self, request: Request) -> bool:
        wanted = models.ChangeAliasesOperation.model_validate(request.state.body)
        return self._engine.update_collection_aliases(wanted.actions)

    def _upsert(self, request: Request) -> Any:  # noqa: ANN401
        points = models.PointsList.model_validate(request.state.body).points
        return self._engine.upsert(self._name(request), points)

    def _count(self, request: Request) -> Any:  # noqa: ANN401
        return self._engine.count(self._name(request))

    def _query(self, request: Request) -> Any:  # noqa: ANN401
        wanted = models.QueryRequest.model_validate(request.state.body)
        return self._engine.query_points(
            self._name(request),
            prefetch=wanted.prefetch,
            query=wanted.query,
            limit=wanted.limit or 10,
            with_payload=True,
        )


@contextmanager
def qdrant_served(
    key: str | None = None, certificate: Path | None = None, private_key: Path | None = None
) -> Iterator[QdrantStandIn]:
    """The server on a free port of loopback, over TLS when there is a certificate."""
    stand_in = QdrantStandIn(key)
    port = free_port()
    config = uvicorn.Config(
        stand_in.app,
        port=port,
        log_config=None,
        lifespan="off",
        ssl_certfile=certificate,
        ssl_keyfile=private_key,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=_run, args=(server,))
    thread.start()
    wait_for(lambda: server.started, "Qdrant stand-in")
    stand_in.url = f"{'https' if certificate else 'http'}://localhost:{port}"
    try:
        yield stand_in
    finally:
        server.should_exit = True
        thread.join()
        stand_in._engine.close()


def _run(server: uvicorn.Server) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        asyncio.run(server.serve())
