"""Collections, aliases, points, queries and snapshots, with Qdrant's answers."""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from qdrant_client import QdrantClient, models
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tests.qdrant_standin.peers import Peers
from tests.qdrant_standin.snapshots import NotFoundError, Snapshots

VERSION = "1.20.0"
# These don't change anything, though they are posted.
_READS = ("/points/query", "/points/count", "/points/scroll")
# Whoever probes has no key.
_PROBES = {
    "/readyz": "all shards are ready",
    "/livez": "healthz check passed",
    "/healthz": "healthz check passed",
}


class QdrantStandIn:
    """The server's state.

    Attributes:
        failing: Each request is answered with this status, when it is set.
        failing_writes: Likewise, but only what changes something, as a full disk does.
        losing: The next answer to a request of this method is lost, though it was done.
        requests: Method and path of each request.
        key: What may do all; None lets everybody.
        read_key: What may only read.
        peers: The cluster that it plays; without peers it runs without cluster mode.
        logged: The aliases that were set in cluster mode. A peer that joins knows only these.
    """

    def __init__(
        self,
        key: str | None = None,
        read_key: str | None = None,
        storage: Path | None = None,
        snapshots: Path | None = None,
    ) -> None:
        self.url = ""
        self.failing: int | None = None
        self.failing_writes: int | None = None
        self.losing: str | None = None
        self.requests: list[tuple[str, str]] = []
        self.peers = Peers()
        self.logged: list[str] = []
        self.key, self.read_key = key, read_key
        # Threads of a pool take turns, see `_route`.
        self.engine = (
            QdrantClient(path=str(storage), force_disable_check_same_thread=True)
            if storage
            else QdrantClient(":memory:")
        )
        self._snapshots = Snapshots(self.engine, snapshots)
        self._turn = asyncio.Lock()
        self.app = Starlette(routes=[*self._of_the_server(), *self._of_collections(), *self._of_snapshots()])

    def close(self) -> None:
        """Lets go of the storage."""
        self.engine.close()

    def _of_the_server(self) -> list[Route]:
        about = {"title": "qdrant - vector search engine", "version": VERSION}
        return [
            Route("/", _always(JSONResponse(about))),
            *(Route(path, _always(PlainTextResponse(text))) for path, text in _PROBES.items()),
            self._route("/metrics", "GET", lambda _: PlainTextResponse(self._metrics())),
            self._route("/cluster", "GET", lambda _: self.peers.status()),
            self._route("/cluster/peer/{peer:int}", "DELETE", self._remove_peer),
            self._route("/collections", "GET", lambda _: self.engine.get_collections()),
            self._route("/aliases", "GET", lambda _: self.engine.get_aliases()),
            self._route("/collections/aliases", "POST", self._alias),
        ]

    def _of_collections(self) -> list[Route]:
        name = "/collections/{name}"
        return [
            self._route(name, "GET", self._described),
            self._route(name, "PUT", self._create),
            self._route(name, "PATCH", self._update),
            self._route(name, "DELETE", self._delete),
            self._route(f"{name}/cluster", "GET", self._copies),
            self._route(f"{name}/cluster", "POST", self._replicate),
            self._route(
                f"{name}/exists", "GET", lambda r: {"exists": self.engine.collection_exists(_name(r))}
            ),
            self._route(f"{name}/aliases", "GET", lambda r: self.engine.get_collection_aliases(_name(r))),
            self._route(f"{name}/index", "PUT", self._index),
            self._route(f"{name}/points", "PUT", self._upsert),
            self._route(f"{name}/points/count", "POST", self._count),
            self._route(f"{name}/points/query", "POST", self._query),
            self._route(f"{name}/points/scroll", "POST", self._scroll),
        ]

    def _of_snapshots(self) -> list[Route]:
        path, kept = "/collections/{name}/snapshots", self._snapshots

        def recover(request: Request) -> bool:
            wanted = models.SnapshotRecover.model_validate(request.state.body)
            done = kept.recover(_name(request), wanted)
            self.peers.restored(_name(request))
            return done

        def upload(request: Request) -> bool:
            file_name, data = request.state.body["snapshot"]
            checksum = request.query_params.get("checksum")
            done = kept.upload(_name(request), file_name, data, checksum)
            self.peers.restored(_name(request))
            return done

        return [
            self._route(path, "GET", lambda r: kept.listed(_name(r))),
            self._route(path, "POST", lambda r: kept.create(_name(r))),
            self._route(f"{path}/recover", "PUT", recover),
            self._route(f"{path}/upload", "POST", upload),
            self._route(f"{path}/{{file}}", "GET", lambda r: FileResponse(kept.file(_name(r), _file(r)))),
            self._route(f"{path}/{{file}}", "DELETE", lambda r: kept.delete(_name(r), _file(r))),
        ]

    def _route(self, path: str, method: str, action: Callable[[Request], Any]) -> Route:
        async def endpoint(request: Request) -> Response:
            if refusal := self._refusal(request):
                return refusal
            request.state.body = await _body(request)
            try:
                # Probes are answered meanwhile.
                async with self._turn:
                    result = await run_in_threadpool(action, request)
            except (NotFoundError, ValueError, KeyError) as error:
                missing = "not found" in str(error) or isinstance(error, NotFoundError | KeyError)
                return _error(404 if missing else 409 if "already exists" in str(error) else 400, str(error))
            except (OSError, sqlite3.Error) as error:
                return _error(500, f"Service internal error: {error}")
            if self.losing and request.method == self.losing:
                self.losing = None
                return _error(504, "Gateway Timeout")
            if isinstance(result, Response):
                return result
            content = result.model_dump(mode="json") if hasattr(result, "model_dump") else result
            return JSONResponse({"result": content, "status": "ok", "time": 0.0})

        return Route(path, endpoint, methods=[method])

    def _refusal(self, request: Request) -> Response | None:
        path, writes = request.url.path, request.method != "GET" and not request.url.path.endswith(_READS)
        self.requests.append((request.method, path))
        if self.failing:
            return _error(self.failing, "Service internal error: the stand-in fails")
        if self.key:
            given = request.headers.get("api-key")
            if given not in {self.key, self.read_key or self.key}:
                told = (
                    "Invalid API key or JWT"
                    if given
                    else "Must provide an API key or an Authorization bearer token"
                )
                return PlainTextResponse(told, 401)
            if writes and given != self.key:
                return _error(403, "Forbidden: Global manage access is required")
        if writes and self.failing_writes:
            return _error(
                self.failing_writes, "Service internal error: No space left on device (os error 28)"
            )
        return None

    def _metrics(self) -> str:
        known = self.engine.get_collections().collections
        lines = {
            "app_info": f'app_info{{name="qdrant",version="{VERSION}"}} 1',
            "collections_total": f"collections_total {len(known)}",
            "cluster_enabled": f"cluster_enabled {int(bool(self.peers.uris))}",
        }
        return "".join(f"# TYPE {name} gauge\n{line}\n" for name, line in lines.items())

    def _remove_peer(self, request: Request) -> bool:
        force = request.query_params.get("force") == "true"
        return self.peers.remove(request.path_params["peer"], force=force)

    def _described(self, request: Request) -> dict[str, Any]:
        found = self.engine.get_collection(_name(request)).model_dump(mode="json")
        found["config"]["params"]["replication_factor"] = self.peers.factor(_name(request))
        return found

    def _delete(self, request: Request) -> bool:
        self.peers.deleted(_name(request))
        return self.engine.delete_collection(_name(request))

    def _copies(self, request: Request) -> Mapping[str, Any]:
        self.engine.get_collection(_name(request))
        return self.peers.described(_name(request))

    def _replicate(self, request: Request) -> Any:  # noqa: ANN401
        if not self.peers.uris:
            return _error(405, "Qdrant is running in standalone mode")
        return self.peers.replicate(_name(request), request.state.body)

    def _create(self, request: Request) -> bool:
        wanted = models.CreateCollection.model_validate(request.state.body)
        self.peers.created(_name(request), wanted.replication_factor)
        return self.engine.create_collection(
            _name(request),
            vectors_config=wanted.vectors,
            sparse_vectors_config=wanted.sparse_vectors,
            metadata=wanted.metadata,
        )

    def _update(self, request: Request) -> bool:
        wanted = models.UpdateCollection.model_validate(request.state.body)
        if wanted.params is not None:
            self.peers.factor(_name(request), wanted.params.replication_factor)
        if wanted.metadata is None:
            return True
        return self.engine.update_collection(_name(request), metadata=wanted.metadata)

    def _alias(self, request: Request) -> bool:
        wanted = models.ChangeAliasesOperation.model_validate(request.state.body)
        if self.peers.uris:
            self.logged += [
                one.create_alias.alias_name
                for one in wanted.actions
                if isinstance(one, models.CreateAliasOperation)
            ]
        return self.engine.update_collection_aliases(wanted.actions)

    def _index(self, request: Request) -> dict[str, Any]:
        self.engine.get_collection(_name(request))
        return {"status": "completed", "operation_id": 0}

    def _upsert(self, request: Request) -> Any:  # noqa: ANN401
        points = models.PointsList.model_validate(request.state.body).points
        return self.engine.upsert(_name(request), points)

    def _count(self, request: Request) -> Any:  # noqa: ANN401
        wanted = models.CountRequest.model_validate(request.state.body or {})
        if self.peers.counts_an_empty_copy(_name(request)):
            return {"count": 0}
        return self.engine.count(_name(request), count_filter=wanted.filter)

    def _query(self, request: Request) -> Any:  # noqa: ANN401
        wanted = models.QueryRequest.model_validate(request.state.body)
        return self.engine.query_points(
            _name(request),
            prefetch=wanted.prefetch,
            query=wanted.query,
            limit=wanted.limit or 10,
            with_payload=True,
        )

    def _scroll(self, request: Request) -> dict[str, Any]:
        wanted = models.ScrollRequest.model_validate(request.state.body)
        points, following = self.engine.scroll(
            _name(request),
            scroll_filter=wanted.filter,
            limit=wanted.limit or 10,
            offset=wanted.offset,
            with_payload=True if wanted.with_payload is None else wanted.with_payload,
            with_vectors=wanted.with_vector or False,
        )
        return {
            "points": [point.model_dump(mode="json") for point in points],
            "next_page_offset": following,
        }


def _name(request: Request) -> str:
    return str(request.path_params["name"])


def _file(request: Request) -> str:
    return str(request.path_params["file"])


def _error(status: int, text: str) -> Response:
    return JSONResponse({"status": {"error": text}, "time": 0.0}, status)


def _always(response: Response) -> Callable[[Request], Any]:
    async def endpoint(_: Request) -> Response:
        return response

    return endpoint


async def _body(request: Request) -> Any:  # noqa: ANN401
    """The JSON, or the name and the contents of each file of a form."""
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        form: Mapping[str, Any] = await request.form()
        return {
            name: (file.filename or name, await file.read())
            for name, file in form.items()
            if isinstance(file, UploadFile)
        }
    return json.loads(await request.body() or b"null")
