"""A bare asynchronous client: what a test or a benchmark asks of the API, with nothing in between."""

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.harness.control_plane import ControlPlane

APPLY = "application/apply-patch+yaml"

Json = dict[str, Any]


class ApiError(Exception):
    """An answer of 400 or more."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status} {body}")
        self.status = status


@dataclass(frozen=True)
class Client:
    """The API server as one user sees it."""

    session: aiohttp.ClientSession

    async def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        """The object that was answered.

        Raises:
            ApiError: The answer's code is 400 or more.
        """
        async with self.session.request(
            method,
            path,
            params=query,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": content_type, **(headers or {})},
        ) as response:
            text = await response.text()
            if response.status >= 400:
                raise ApiError(response.status, text)
            answer: Json = json.loads(text)
            return answer

    async def apply(
        self,
        path: str,
        body: Json,
        *,
        manager: str,
        headers: Mapping[str, str] | None = None,
        **query: str,
    ) -> Json:
        """Server-side apply."""
        wanted = {"fieldManager": manager, "force": "true", **query}
        return await self.send("PATCH", path, body, query=wanted, content_type=APPLY, headers=headers)

    async def items(self, path: str) -> list[Json]:
        """All objects of a list."""
        found: list[Json] = (await self.send("GET", path))["items"]
        return found

    async def watch(self, path: str, *, query: Mapping[str, str]) -> AsyncIterator[Json]:
        """The objects of a list, then every change of one: events with `type` and `object`, for ever."""
        while True:
            found = await self.send("GET", path, query=query)
            for item in found["items"]:
                yield {"type": "ADDED", "object": item}
            more = {"watch": "true", "resourceVersion": found["metadata"]["resourceVersion"]}
            timeout = aiohttp.ClientTimeout(total=None)
            watched = self.session.get(path, params={**query, **more}, timeout=timeout, read_bufsize=2**22)
            async with watched as response:
                async for line in response.content:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        break
                    yield event


@asynccontextmanager
async def connected(server: str, pki: Path, *, connections: int = 16) -> AsyncIterator[Client]:
    """A client that may do everything at a server of this URL, whose authority's folder is `pki`."""
    connector = aiohttp.TCPConnector(limit=connections, ssl=tls(pki, "admin"))
    async with aiohttp.ClientSession(server, connector=connector) as session:
        yield Client(session)


@asynccontextmanager
async def admin(plane: ControlPlane, *, connections: int = 16) -> AsyncIterator[Client]:
    """A client that may do everything."""
    async with connected(plane.endpoints.server, plane.state / "pki", connections=connections) as client:
        yield client


def tls(pki: Path, name: str) -> ssl.SSLContext:
    """What a holder of the certificate `name` of an authority's folder connects with."""
    context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    context.load_cert_chain(pki / f"{name}.crt", pki / f"{name}.key")
    return context
