"""Bounds what kopf's watch of servers reads: a session whose answers are small, whatever tenants have made.

kopf takes each page of a list and each event whole. Here a page has a bound in bytes: where it has more,
smaller pages are asked for. Of what is large, kopf gets only what the operator reads.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cached_property
from ssl import SSLContext
from typing import Any, Protocol, cast

import aiohttp
import structlog
from pydantic_core import to_json
from yarl import URL

from flame_operator.api import selected
from flame_operator.api.calls import MOST_BYTES
from flame_operator.api.paging import PAGE, PAGE_BYTES, next_limit, smaller_limit
from flame_operator.api.reading import LINE_BYTES, Line, Lines, read_at_most
from flame_operator.errors import TooLarge
from flame_operator.resource.kinds import SERVER, Manifest

log = structlog.get_logger(__name__)

RESTARTS = 3
"""How often a page is asked for again because the pages of its list have expired."""


class Login(Protocol):
    """How to connect to the API server; kopf's `ConnectionInfo`."""

    @property
    def proxy_url(self) -> str | None:
        """The proxy to use."""

    @property
    def trust_env(self) -> bool:
        """Whether variables of the environment name proxies."""

    def as_ssl_context(self) -> SSLContext:
        """The certificates."""

    def as_http_headers(self) -> dict[str, str]:
        """The headers with the credentials."""


@dataclass
class _List:
    """A list that kopf reads page by page."""

    limit: int = PAGE
    """How many objects the next page may have."""
    version: str | None = None
    """The version of the first page: a watch from there tells of all that has changed since."""


class _BoundedSession:
    """What kopf uses of an `aiohttp.ClientSession`; it opens no connection before the first request.

    Sessions with the same login are equal, so that kopf recognizes a login that has been refused.
    """

    def __init__(self, login: Login, user_agent: str) -> None:
        self._login = login
        self.headers = {"User-Agent": user_agent}
        self.closed = False
        self._lists: dict[str, _List] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BoundedSession) and self._login == other._login

    def __hash__(self) -> int:
        return id(type(self))

    @cached_property
    def _session(self) -> aiohttp.ClientSession:
        if self.closed:
            raise RuntimeError("the session is closed")
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._login.as_ssl_context()),
            response_class=_Response,
            headers={**self.headers, **self._login.as_http_headers()},
            proxy=self._login.proxy_url,
            trust_env=self._login.trust_env,
        )

    async def close(self) -> None:
        """Close all connections."""
        self.closed = True
        if "_session" in self.__dict__:
            await self._session.close()

    async def request(self, *, url: str, **options: Any) -> aiohttp.ClientResponse:  # noqa: ANN401 - as aiohttp has them
        """Send a request as aiohttp does; the answer to one for servers is bounded."""
        address = URL(url)
        if address.name != SERVER.plural:
            return await self._session.request(url=address, **options)
        if "watch" not in address.query:
            return await self._page(address, **options)
        response = await self._session.request(url=address, **options)
        if response.status == 200:
            response.content = _Events(response.content)  # type: ignore[assignment]  # what kopf uses of it
        return response

    async def _page(self, url: URL, **options: Any) -> aiohttp.ClientResponse:  # noqa: ANN401 - see `request`
        """A page of a list, perhaps with fewer objects than was asked for.

        Raises:
            aiohttp.ClientPayloadError: The answer isn't a page; kopf begins the list anew.
        """
        restarts = 0
        if "continue" not in url.query:
            self._lists[url.path] = _List()
        of = self._lists.setdefault(url.path, _List())
        while True:
            address = url.update_query(limit=of.limit)
            response = cast("_Response", await self._session.request(url=address, **options))
            if response.status == 410 and "continue" in url.query and restarts < RESTARTS:
                restarts += 1
                url = await _later_page(url, response)
            elif response.status != 200:
                return response
            elif (page := await _read(response, of)) is not None:
                response.page = page
                return response


def bounded_session(login: Login, user_agent: str) -> aiohttp.ClientSession:
    """A session for kopf.

    Args:
        login: How to connect.
        user_agent: The `User-Agent` header of all requests.
    """
    return cast("aiohttp.ClientSession", _BoundedSession(login, user_agent))


class _Response(aiohttp.ClientResponse):
    """An answer; that to a list has been read already."""

    page: Manifest | None = None

    async def json(self, **options: Any) -> Any:  # noqa: ANN401 - as aiohttp has it
        return await super().json(**options) if self.page is None else self.page


class _Events:
    """The stream of a watch, line by line; of large lines only what is read of a server."""

    def __init__(self, content: aiohttp.StreamReader) -> None:
        self._content = content

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - what aiohttp itself does with the stream
        return getattr(self._content, name)

    async def iter_chunked(self, _size: int) -> AsyncIterator[bytes]:
        lines = Lines(MOST_BYTES)
        async for chunk in self._content.iter_any():
            for line in lines.feed(chunk):
                yield _small(line) + b"\n"


def _small(line: Line) -> bytes:
    if not line.whole:
        log.error("an event about a resource is too large to read", most_bytes=MOST_BYTES)
        return b""
    if len(line.text) <= LINE_BYTES:
        return line.text
    event = selected.server_event(line.text)
    if "object" not in event:
        raise aiohttp.ClientPayloadError("the watch sent something that isn't an event")
    return to_json(event)


async def _read(response: aiohttp.ClientResponse, of: _List) -> Manifest | None:
    """The page in an answer; None when it is too large, and a smaller one has to be asked for.

    Raises:
        aiohttp.ClientPayloadError: The answer isn't a page, or has a single object that is too large.
    """
    most = PAGE_BYTES if of.limit > 1 else MOST_BYTES
    try:
        text = await read_at_most(response.content.iter_any(), most, f"GET {SERVER.plural}")
    except TooLarge as error:
        response.close()
        if of.limit == 1:
            raise aiohttp.ClientPayloadError(str(error)) from error
        of.limit = smaller_limit(of.limit)
        return None
    page = selected.servers(text)
    if "items" not in page or "metadata" not in page:
        raise aiohttp.ClientPayloadError("the answer isn't a list")
    of.limit = next_limit(of.limit, len(text))
    of.version = of.version or page["metadata"].get("resourceVersion", "")
    page["metadata"]["resourceVersion"] = of.version
    return {**page, "items": page["items"] or []}


async def _later_page(url: URL, response: aiohttp.ClientResponse) -> URL:
    """Where to go on after a page has expired: with newer pages, as the API server offers, or anew."""
    try:
        refusal = await response.json()
        token = refusal["metadata"].get("continue")
    except (ValueError, LookupError, AttributeError, TypeError, aiohttp.ContentTypeError):
        token = None
    return url.update_query({"continue": token}) if token else url.without_query_params("continue")
