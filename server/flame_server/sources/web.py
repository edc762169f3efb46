"""Decides which addresses may be requested for sources: the URL of the user, and redirects of servers."""

import re
import socket
import ssl
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3.connection import HTTPSConnection

from flame_server.errors import FlameMcpError
from flame_server.sources.addresses import (
    address_of,
    addresses_of,
    is_local,
    is_private,
    is_reserved,
    is_reserved_host,
)

# Nothing else: libraries disagree which host `https://one\@two/` names, and fail in many ways on others.
_LABEL = r"[A-Za-z0-9_](?:[-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?"
_PLACE = re.compile(
    rf"(?P<scheme>[A-Za-z][-+.A-Za-z0-9]{{0,15}})://(?P<host>(?=.{{1,253}}(?:[:/?#]|$)){_LABEL}(?:\.{_LABEL})*\.?"
    r"|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?(?:[/?#][^\x00-\x20\x7f]*)?"
)
_KEPT = "that the cloud or the cluster keeps to itself"
_REDIRECTS = 5
_PASSING = {408, 425, 429}
_LASTING = {501, 505}
"""Statuses from 500 on that do not pass by themselves."""


def may_pass(status: int) -> bool:
    """Whether an HTTP status means that the same request may succeed later (RFC 9110, section 15)."""
    return status in _PASSING or (status >= 500 and status not in _LASTING)


def refuse_redirect(start: str, place: str) -> None:
    """Checks that `place` may be requested, by a request that began at `start`.

    Raises:
        FlameMcpError: `place` is not https, or is an address that the cloud or the cluster keeps to itself,
            or another host redirects into this machine or from the internet into a private network. Or it
            isn't clear which host it names.
    """
    begun, named = urlsplit(start).hostname or "", _PLACE.fullmatch(place)
    if named is None or not 0 < int(named["port"] or 443) < 65_536:
        raise FlameMcpError(f"{begun} leads to a place that is no address like https://host/path")
    host = named["host"].strip("[]").lower()
    if named["scheme"].lower() != "https":
        raise FlameMcpError(f"{begun} leads to {named['scheme']}://{host}, which isn't https")
    # A name that cannot be resolved here is for the proxy to resolve, or the request fails anyway.
    found = addresses_of(host)
    if is_reserved_host(host) or any(is_reserved(address) for address in found):
        raise FlameMcpError(f"{begun} leads to {host}, which is an address {_KEPT}")
    if host == begun:
        return
    if any(is_local(address) for address in found):
        raise FlameMcpError(f"{begun} leads to {host}, which is inside the machine")
    if any(is_private(address) for address in found):
        around = addresses_of(begun)
        if around and not any(is_private(address) for address in around):
            raise FlameMcpError(
                f"{begun} is on the internet and leads to {host}, which is in a private network"
            )


def refuse_peer(peer: str) -> None:
    """Checks the address that a connection was really made to: a name may resolve to another one each time.

    Raises:
        FlameMcpError: The cloud or the cluster keeps it to itself.
    """
    with suppress(ValueError):
        if is_reserved(address_of(peer)):
            raise FlameMcpError(f"{peer} is an address {_KEPT}")


def check_address(url: str) -> str:
    """Checks the URL of a source, without a look-up.

    Raises:
        ValueError: It is not https, has no host, or has a user: passwords belong into files. Or its host is
            an address that is never requested.
    """
    parts = urlsplit(url)
    named = parts.hostname and parts.port != 0 and not any(c.isspace() or not c.isprintable() for c in url)
    if parts.scheme != "https" or not named or parts.username is not None:
        raise ValueError("give an address like https://host/path, without a user")
    if is_reserved_host(parts.hostname or ""):
        raise ValueError(f"{parts.hostname} is an address {_KEPT}: give that of a server with docs")
    return url


class _Guarded:
    """Checks every URL before it is requested. urllib3 calls `urlopen` for redirects, too."""

    start = ""

    def urlopen(self, method: str, url: str, redirect: bool = True, **kw: Any) -> Any:  # noqa: ANN401 - as urllib3 has it
        """See `urllib3.PoolManager`."""
        refuse_redirect(self.start, url)
        return super().urlopen(method, url, redirect=redirect, **kw)  # type: ignore[misc]  # of the other base class


class _Connection(HTTPSConnection):
    """Checks the address of the server before anything is sent to it."""

    def _new_conn(self) -> socket.socket:
        made = super()._new_conn()
        try:
            refuse_peer(str(made.getpeername()[0]))
        except BaseException:
            made.close()
            raise
        return made


class _Connections(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Connection


class _Direct(_Guarded, urllib3.PoolManager):  # type: ignore[misc]  # its own types say the same
    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - as urllib3 has it
        super().__init__(**options)
        # Plain HTTP is refused before it gets here.
        self.pool_classes_by_scheme = {"https": _Connections}


class _Proxied(_Guarded, urllib3.ProxyManager):  # type: ignore[misc]  # likewise
    pass


def proxy_of(url: str) -> str | None:
    """The proxy of the environment for a URL, if any."""
    proxy = urllib.request.getproxies().get("https")
    return proxy if proxy and not urllib.request.proxy_bypass(urlsplit(url).hostname or "") else None


def pool(start: str, ca_file: Path | None) -> urllib3.PoolManager:
    """A connection pool for requests that begin at `start`, through the proxy of the environment if any.

    Raises:
        FlameMcpError: The CA file cannot be used.
    """
    options: dict[str, Any] = {
        "ssl_context": trusted(ca_file),
        # No retries here: a failure is reported at once, and the Job tries again.
        "retries": urllib3.Retry(_REDIRECTS, connect=0, read=0, other=0, redirect=_REDIRECTS),
    }
    proxy = proxy_of(start)
    made = _Proxied(proxy, **options) if proxy else _Direct(**options)
    made.start = start
    return made


def trusted(ca_file: Path | None) -> ssl.SSLContext:
    """What to trust: the CA certificates of a file, or by default those of the process.

    Raises:
        FlameMcpError: The file cannot be used.
    """
    try:
        return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise FlameMcpError(f"{ca_file} holds no usable certificate: {error}") from error
