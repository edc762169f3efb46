"""The only module that talks to the Kubernetes API."""

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import aiohttp
import structlog
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from flame_operator.errors import (
    Conflict,
    Invalid,
    NamespaceTerminating,
    NotFound,
    Refused,
    Unavailable,
    UserError,
)
from flame_operator.model import KINDS, MANAGER, SERVER, Key, Kind, Manifest, key_of

log = structlog.get_logger(__name__)

SERVICE_ACCOUNT_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
STATUS_MANAGER = f"{MANAGER}-status"
PAGE = 500
ATTEMPTS = 6
FIRST_DELAY = 0.25
LONGEST_DELAY = 8.0
TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=5)
LIST_TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=5)
# No object has this version. An apply that asks for it creates, or fails with 409 when something is there, so
# that a foreign object is never overwritten, and no read is needed before the write.
ABSENT = "1"


class KubeApi(Protocol):
    """What the operator needs of the API. Every method may raise `Refused`, `Conflict` or `Unavailable`."""

    async def apply(self, manifest: Manifest, *, uid: str | None) -> Manifest:
        """Server-side apply; returns the live object.

        Args:
            manifest: All fields that the operator owns.
            uid: The object to change; None creates one.

        Raises:
            Conflict: The object there isn't the one with that uid, or, for a creation, there is one.
        """

    async def get(self, kind: Kind, key: Key) -> Manifest | None:
        """One object, or None when there is none."""

    def list(
        self, kind: Kind, *, selector: str = "", namespace: str | None = None
    ) -> AsyncIterator[Manifest]:
        """All objects of a kind, in one namespace or everywhere, page by page; some may come twice."""

    async def correct(self, child: Manifest, operations: Sequence[Manifest]) -> Manifest:
        """JSON Patch (RFC 6902) of exactly this version of the object; returns the live object.

        Raises:
            Conflict: The object has changed since.
        """

    async def delete(self, child: Manifest) -> None:
        """Delete exactly this object; not an error when it is gone.

        Raises:
            Conflict: Another object has its name now.
        """

    async def patch_status(self, server: Manifest, status: Manifest) -> Manifest | None:
        """Apply a server's status; returns the live server, or None when it is gone."""


@dataclass(frozen=True)
class _Call:
    """One request."""

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    body: Manifest | list[Manifest] | None = None
    content_type: str = "application/json"
    timeout: aiohttp.ClientTimeout = TIMEOUT

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class _Answer(NamedTuple):
    status: int
    body: Manifest
    retry_after: float | None


class AioKube:
    """`KubeApi` on the official asyncio client, with plain dicts instead of its models."""

    def __init__(
        self,
        client: ApiClient,
        *,
        concurrency: int,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._slots = asyncio.Semaphore(concurrency)
        self._sleep = sleep
        self._jitter = jitter

    async def apply(self, manifest: Manifest, *, uid: str | None) -> Manifest:
        """See `KubeApi`."""
        precondition = {"uid": uid} if uid else {"resourceVersion": ABSENT}
        body = {**manifest, "metadata": {**manifest["metadata"], **precondition}}
        return await self._apply(_path(manifest), body, MANAGER)

    async def get(self, kind: Kind, key: Key) -> Manifest | None:
        """See `KubeApi`."""
        answer = await self._request(_Call("GET", kind.path(*key)))
        return None if answer.status == 404 else _checked(answer)

    async def list(
        self, kind: Kind, *, selector: str = "", namespace: str | None = None
    ) -> AsyncIterator[Manifest]:
        """See `KubeApi`."""
        query = {"limit": str(PAGE)} | ({"labelSelector": selector} if selector else {})
        while True:
            answer = await self._request(_Call("GET", kind.path(namespace), query, timeout=LIST_TIMEOUT))
            if answer.status == 410 and "continue" in query:
                # Paging took longer than the server keeps old versions: from the start, in one piece.
                query = {name: value for name, value in query.items() if name not in ("continue", "limit")}
                continue
            page = _checked(answer)
            for item in page["items"]:
                # Items of a list don't say what they are.
                yield {**item, "apiVersion": kind.api_version, "kind": kind.kind}
            token = page["metadata"].get("continue")
            if not token:
                return
            query["continue"] = token

    async def correct(self, child: Manifest, operations: Sequence[Manifest]) -> Manifest:
        """See `KubeApi`."""
        version = child["metadata"]["resourceVersion"]
        unchanged = {"op": "test", "path": "/metadata/resourceVersion", "value": version}
        call = _Call(
            "PATCH",
            _path(child),
            {"fieldManager": MANAGER},
            [unchanged, *operations],
            content_type="application/json-patch+json",
        )
        answer = await self._request(call)
        if answer.status == 422 and "test" in str(answer.body.get("message")):
            raise Conflict(str(answer.body["message"]))
        return _checked(answer)

    async def delete(self, child: Manifest) -> None:
        """See `KubeApi`."""
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": child["metadata"]["uid"]},
            "propagationPolicy": "Background",
        }
        answer = await self._request(_Call("DELETE", _path(child), body=body))
        if answer.status != 404:
            _checked(answer)

    async def patch_status(self, server: Manifest, status: Manifest) -> Manifest | None:
        """See `KubeApi`."""
        key, metadata = key_of(server), server["metadata"]
        body = {
            "apiVersion": SERVER.api_version,
            "kind": SERVER.kind,
            "metadata": {"name": key.name, "namespace": key.namespace, "uid": metadata["uid"]},
            "status": status,
        }
        try:
            return await self._apply(f"{SERVER.path(*key)}/status", body, STATUS_MANAGER)
        except NotFound:
            return None

    async def _apply(self, path: str, body: Manifest, manager: str) -> Manifest:
        query = {"fieldManager": manager, "force": "true"}
        call = _Call("PATCH", path, query, body, content_type="application/apply-patch+yaml")
        return _checked(await self._request(call))

    async def _request(self, call: _Call) -> _Answer:
        """Send, and send again while the answer is 429, 5xx or none at all.

        Raises:
            Unavailable: Still no answer after `ATTEMPTS`.
        """
        trouble = ""
        for attempt in range(ATTEMPTS):
            wait = min(LONGEST_DELAY, FIRST_DELAY * 2**attempt) * (0.5 + self._jitter() / 2)
            try:
                async with self._slots:
                    answer = await self._send(call)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                trouble = f"{type(error).__name__} {error}".strip()
            else:
                if answer.status != 429 and answer.status < 500:
                    return answer
                trouble = f"{answer.status} {answer.body.get('message', '')}".strip()
                wait = max(wait, answer.retry_after or 0)
            log.debug("API request failed", call=str(call), trouble=trouble, attempt=attempt + 1)
            if attempt + 1 < ATTEMPTS:
                await self._sleep(wait)
        raise Unavailable(f"{call}: no answer after {ATTEMPTS} attempts, the last was: {trouble}")

    async def _send(self, call: _Call) -> _Answer:
        # The body is kept out of this: the client would copy it, looking for models that it doesn't hold.
        method, url, headers, *_ = await self._client.param_serialize(
            call.method,
            call.path,
            query_params=list(call.query.items()),
            header_params={"Content-Type": call.content_type, "Accept": "application/json"},
            auth_settings=["BearerToken"],
        )
        response = await self._client.call_api(method, url, headers, call.body, _request_timeout=call.timeout)
        text: bytes = await response.read()  # type: ignore[no-untyped-call]  # the client's own gap
        return _Answer(response.status, _json(text), _seconds(response.headers.get("Retry-After")))


def _checked(answer: _Answer) -> Manifest:
    """The object that was answered, or the error in our words."""
    if answer.status < 300:
        return answer.body
    message = str(answer.body.get("message") or f"HTTP status {answer.status}")
    causes: list[dict[str, str]] = (answer.body.get("details") or {}).get("causes") or []
    # Another object has the name: for an apply that is 422 on the immutable uid, for a delete 409.
    if answer.status in (409, 410) or any(cause.get("field") == "metadata.uid" for cause in causes):
        raise Conflict(message)
    if any(cause.get("reason") == "NamespaceTerminating" for cause in causes):
        raise NamespaceTerminating(message)
    raise {404: NotFound, 422: Invalid}.get(answer.status, Refused)(message)


def _path(manifest: Manifest) -> str:
    return KINDS[manifest["kind"]].path(*key_of(manifest))


def _json(text: bytes) -> Manifest:
    try:
        found: Any = json.loads(text)
    except ValueError:
        found = None  # a proxy's page, for example
    return found if isinstance(found, dict) else {"message": text[:200].decode(errors="replace")}


def _seconds(header: str | None) -> float | None:
    return float(header) if header is not None and header.isdigit() else None


def uses_kubeconfig() -> bool:
    """Whether to log in with a kubeconfig: when one is named, and wherever there is no service account."""
    return bool(os.environ.get("KUBECONFIG")) or not SERVICE_ACCOUNT_TOKEN.exists()


@asynccontextmanager
async def connect(*, concurrency: int) -> AsyncIterator[AioKube]:
    """The API of the cluster that this process runs in, or that KUBECONFIG or ~/.kube/config names.

    Raises:
        UserError: There are no usable credentials.
    """
    configuration = Configuration()
    try:
        if uses_kubeconfig():
            await config.load_kube_config(  # type: ignore[no-untyped-call]  # the client's own gap
                client_configuration=configuration, persist_config=False
            )
        else:
            config.load_incluster_config(  # type: ignore[no-untyped-call]  # the client's own gap
                client_configuration=configuration
            )
    except (config.ConfigException, OSError) as error:
        raise UserError(
            f"can't log in to a cluster: {error}. Set KUBECONFIG, or run in a pod with a service account"
        ) from error
    configuration.connection_pool_maxsize = concurrency
    client = ApiClient(configuration)
    client.user_agent = MANAGER
    try:
        yield AioKube(client, concurrency=concurrency)
    finally:
        await client.close()  # type: ignore[no-untyped-call]  # the client's own gap
