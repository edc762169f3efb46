"""What a running server reads from Qdrant, as plain JSON.

The client's own types check more than is used here, and take up to a hundred times as long for odd answers.
"""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flame_server.errors import UnavailableError
from flame_server.qdrant.connection import QdrantTarget, connect, explained

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient, models

# Of one read of the network, and of a whole answer: a server that drips would hold a request for ever.
_TIMEOUT_SECONDS = 5
_ANSWER_SECONDS = 10.0


class Reading:
    """Reads one collection through its alias. Connects when it is first used; for one event loop.

    All methods raise `UnavailableError`: Qdrant cannot be reached, refuses, or gives no usable answer.
    """

    def __init__(self, target: QdrantTarget) -> None:
        self._target = target
        self._client: AsyncQdrantClient | None = None

    async def metadata(self) -> Any:  # noqa: ANN401 - JSON
        """What was noted with the collection when it was made."""
        return _field(_field(await self._result("GET", ""), "config"), "metadata")

    async def query(self, request: "models.QueryRequest") -> list[Mapping[str, Any]]:
        """The points that answer a query."""
        return self._points(await self._result("POST", "/points/query", request), request.limit or 0)

    async def scroll(
        self, request: "models.ScrollRequest"
    ) -> tuple[list[Mapping[str, Any]], int | str | None]:
        """Points in the order of their ids, and the id that the next request begins with."""
        result = await self._result("POST", "/points/scroll", request)
        following = _field(result, "next_page_offset")
        return self._points(result, request.limit or 0), following if isinstance(
            following, (int, str)
        ) else None

    async def close(self) -> None:
        """Closes the connections; the next read opens others."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def _result(self, method: str, path: str, body: Any = None) -> Any:  # noqa: ANN401 - JSON
        if self._client is None:
            self._client = connect(self._target, _TIMEOUT_SECONDS)
        sent = {"content": body.model_dump_json(exclude_none=True)} if body is not None else {}
        try:
            with explained(self._target):
                async with asyncio.timeout(_ANSWER_SECONDS):
                    answer = await self._client.http.client.request(
                        type_=dict,
                        method=method,
                        url="/collections/{collection_name}" + path,
                        path_params={"collection_name": self._target.collection},
                        headers={"Content-Type": "application/json"},
                        **sent,
                    )
        except TimeoutError as error:
            raise UnavailableError(
                f"Qdrant at {self._target.url} gave no whole answer in {_ANSWER_SECONDS:g} s"
            ) from error
        return _field(answer, "result")

    def _points(self, result: object, most: int) -> list[Mapping[str, Any]]:
        points = _field(result, "points")
        if not isinstance(points, list) or not all(isinstance(point, dict) for point in points[:most]):
            raise UnavailableError(f"Qdrant at {self._target.url} gave no usable answer: there are no points")
        return points[:most]


def _field(fields: object, name: str) -> Any:  # noqa: ANN401 - JSON
    return fields.get(name) if isinstance(fields, dict) else None
