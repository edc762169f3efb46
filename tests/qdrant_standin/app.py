"""Collections, aliases, points, queries and snapshots, with Qdrant's answers."""

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from qdrant_client import QdrantClient, models
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

# These don't change anything, though they are posted.
_READS = ("/points/query", "/points/count", "/points/scroll")
_OPEN = {"/", "/readyz", "/livez", "/healthz"}


class QdrantStandIn:
    """The server's state.

    Attributes:
        failing: Each request is answered with this status, when it is set.
        failing_writes: Likewise, but only what changes something.
        requests: Method and path of each request.
        key: What may do all; None lets everybody.
        read_key: What may only read.
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
        self.requests: list[tuple[str, str]] = []
        self.key, self.read_key = key, read_key
        self.engine = QdrantClient(path=str(storage)) if storage else QdrantClient(":memory:")
        self._snapshots = snapshots
        name = "/collections/{name}"
        self.app = Starlette(
            routes=[
                *(Route(path, self._probe) for path in sorted(_OPEN)),
                self._route("/collections", "GET", lambda _: self.engine.get_collections()),
                self._route("/aliases", "GET", lambda _: self.engine.get_aliases()),
                self._route("/collections/aliases", "POST", self._alias),
                self._route(name, "GET", lambda r: self.engine.get_collection(_name(r))),
                self._route(name, "PUT", self._create),
                self._route(name, "DELETE", lambda r: self.engine.delete_collection(_name(r))),
                self._route(f"{name}/index", "PUT", lambda _: {"status": "completed", "operation_id": 0}),
                self._route(f"{name}/points", "PUT", self._upsert),
                self._route(f"{name}/points/count", "POST", lambda r: self.engine.count(_name(r))),
                self._route(f"{name}/points/query", "POST", self._query),
                self._route(f"{name}/points/scroll", "POST", self._scroll),
                self._route(f"{name}/snapshots", "GET", self._list_snapshots),
                self._route(f"{name}/snapshots", "POST", self._snapshot),
                self._route(f"{name}/snapshots/recover", "PUT", self._recover),
                self._route(f"{name}/snapshots/upload", "POST", self._upload),
                self._route(f"{name}/snapshots/{{file}}", "DELETE", self._delete_snapshot),
                Route(f"{name}/snapshots/{{file}}", self._download),
            ]
        )

    def close(self) -> None:
        """Lets go of the storage."""
        self.engine.close()

    def _route(self, path: str, method: str, action: Callable[[Request], Any]) -> Route:
        async def endpoint(request: Request) -> Response:
            if refusal := self._refusal(request):
                return refusal
            request.state.body = await _body(request)
            try:
                result = action(request)
            except (ValueError, KeyError, OSError) as error:
                missing = "not found" in str(error) or isinstance(error, KeyError)
                return JSONResponse({"status": {"error": str(error)}}, 404 if missing else 400)
            content = result.model_dump(mode="json") if hasattr(result, "model_dump") else result
            return JSONResponse({"result": content, "status": "ok", "time": 0.0})

        return Route(path, endpoint, methods=[method])

    def _refusal(self, request: Request) -> Response | None:
        path, writes = request.url.path, request.method != "GET" and not request.url.path.endswith(_READS)
        self.requests.append((request.method, path))
        status = self.failing or (self.failing_writes if writes else None)
        if status:
            return JSONResponse({"status": {"error": "No space left on device"}}, status)
        given = request.headers.get("api-key")
        if self.key and given not in {self.key, self.read_key or self.key}:
            return JSONResponse({"status": {"error": "Must provide an API key"}}, 401)
        if self.key and writes and given != self.key:
            return JSONResponse({"status": {"error": "Write access is required"}}, 403)
        return None

    async def _probe(self, _: Request) -> Response:
        return PlainTextResponse("all shards are ready")

    def _create(self, request: Request) -> bool:
        wanted = models.CreateCollection.model_validate(request.state.body)
        return self.engine.create_collection(
            _name(request),
            vectors_config=wanted.vectors,
            sparse_vectors_config=wanted.sparse_vectors,
            metadata=wanted.metadata,
        )

    def _alias(self, request: Request) -> bool:
        wanted = models.ChangeAliasesOperation.model_validate(request.state.body)
        return self.engine.update_collection_aliases(wanted.actions)

    def _upsert(self, request: Request) -> Any:  # noqa: ANN401
        points = models.PointsList.model_validate(request.state.body).points
        return self.engine.upsert(_name(request), points)

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
            with_payload=True,
            with_vectors=bool(wanted.with_vector),
        )
        return {
            "points": [point.model_dump(mode="json") for point in points],
            "next_page_offset": following,
        }

    def _folder(self, request: Request) -> Path:
        if self._snapshots is None:
            raise ValueError("this server has no room for snapshots")
        folder = self._snapshots / self._meant(_name(request))
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _meant(self, name: str) -> str:
        aliases = {one.alias_name: one.collection_name for one in self.engine.get_aliases().aliases}
        return aliases.get(name, name)

    def _list_snapshots(self, request: Request) -> list[dict[str, Any]]:
        return [_described(file) for file in sorted(self._folder(request).iterdir())]

    def _snapshot(self, request: Request) -> dict[str, Any]:
        name = self._meant(_name(request))
        points, _ = self.engine.scroll(name, limit=1_000_000, with_payload=True, with_vectors=True)
        info = self.engine.get_collection(name)
        stamp = datetime.now(UTC).strftime("%Y-%m-%d-%H-%M-%S-%f")
        file = self._folder(request) / f"{name}-{stamp}.snapshot"
        kept = {
            "config": info.config.model_dump(mode="json"),
            "points": [
                {"id": point.id, "payload": point.payload, "vector": point.model_dump(mode="json")["vector"]}
                for point in points
            ],
        }
        file.write_text(json.dumps(kept))
        return _described(file)

    def _delete_snapshot(self, request: Request) -> bool:
        (self._folder(request) / request.path_params["file"]).unlink()
        return True

    async def _download(self, request: Request) -> Response:
        return self._refusal(request) or FileResponse(self._folder(request) / request.path_params["file"])

    def _recover(self, request: Request) -> bool:
        return self._restore(_name(request), Path(urlsplit(request.state.body["location"]).path).read_bytes())

    def _upload(self, request: Request) -> bool:
        return self._restore(_name(request), request.state.body["snapshot"])

    def _restore(self, name: str, data: bytes) -> bool:
        kept = json.loads(data)
        config = kept["config"]
        self.engine.delete_collection(name)
        wanted = models.CreateCollection.model_validate(
            {
                "vectors": config["params"]["vectors"],
                "sparse_vectors": config["params"]["sparse_vectors"],
                "metadata": config["metadata"],
            }
        )
        self.engine.create_collection(
            name,
            vectors_config=wanted.vectors,
            sparse_vectors_config=wanted.sparse_vectors,
            metadata=wanted.metadata,
        )
        self.engine.upsert(name, [models.PointStruct.model_validate(point) for point in kept["points"]])
        return True


def _name(request: Request) -> str:
    return str(request.path_params["name"])


async def _body(request: Request) -> Any:  # noqa: ANN401
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        form = await request.form()
        return {name: await file.read() for name, file in form.items() if not isinstance(file, str)}
    return json.loads(await request.body() or b"null")


def _described(file: Path) -> dict[str, Any]:
    data = file.read_bytes()
    created = datetime.fromtimestamp(file.stat().st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return {
        "name": file.name,
        "creation_time": created,
        "size": len(data),
        "checksum": hashlib.sha256(data).hexdigest(),
    }
