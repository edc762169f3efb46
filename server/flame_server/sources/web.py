"""Decides which addresses may be requested for sources: the URL of the user, and redirects of servers."""

import ipaddress
import socket
import ssl
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3

from flame_server.errors import FlameMcpError

_REDIRECTS = 5
_PASSING = {408, 425, 429}
_LASTING = {501, 505}
"""Statuses from 500 on that do not pass by themselves."""


def may_pass(status: int) -> bool:
    """Whether an HTTP status means that the same request may succeed later (RFC 9110, section 15)."""
    return status in _PASSING or (status >= 500 and status not in _LASTING)


def refuse_redirect(start: str, place: str) -> None:
    """Checks that a request that began at `start` may be redirected to `place`.

    Raises:
        FlameMcpError: `place` is not https, or another host redirects to a loopback or link-local address.
    """
    first, parts = urlsplit(start), urlsplit(place)
    if parts.scheme != "https":
        raise FlameMcpError(f"{first.hostname} leads to {parts.scheme}://{parts.hostname}, which isn't https")
    if parts.hostname == first.hostname:
        return
    # A name that cannot be resolved here is for the proxy to resolve, or the request fails anyway.
    with suppress(OSError, ValueError):
        for found in socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM):
            if _is_inside(str(found[4][0])):
                raise FlameMcpError(
                    f"{first.hostname} leads to {parts.hostname}, which is inside the machine"
                )


def check_address(url: str) -> str:
    """Checks the URL of a source.

    Raises:
        ValueError: It is not https, has no host, or has a user: passwords belong into files.
    """
    parts = urlsplit(url)
    named = parts.hostname and parts.port != 0 and not any(c.isspace() or not c.isprintable() for c in url)
    if parts.scheme != "https" or not named or parts.username is not None:
        raise ValueError("give an address like https://host/path, without a user")
    return url


def _is_inside(text: str) -> bool:
    address = ipaddress.ip_address(text.split("%", maxsplit=1)[0])
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast


class _Guarded:
    """Checks every URL before it is requested. urllib3 calls `urlopen` for redirects, too."""

    start = ""

    def urlopen(self, method: str, url: str, redirect: bool = True, **kw: Any) -> Any:  # noqa: ANN401 - as urllib3 has it
        """See `urllib3.PoolManager`."""
        refuse_redirect(self.start, url)
        return super().urlopen(method, url, redirect=redirect, **kw)  # type: ignore[misc]  # of the other base class


class _Direct(_Guarded, urllib3.PoolManager):  # type: ignore[misc]  # its own types say the same
    pass


class _Proxied(_Guarded, urllib3.ProxyManager):  # type: ignore[misc]  # likewise
    pass


def pool(start: str, ca_file: Path | None) -> urllib3.PoolManager:
    """A connection pool for requests that begin at `start`, through the proxy of the environment if any.

    Raises:
        FlameMcpError: The CA file cannot be used.
    """
    options: dict[str, Any] = {
        "ssl_context": _trusted(ca_file),
        # No retries here: a failure is reported at once, and the Job tries again.
        "retries": urllib3.Retry(_REDIRECTS, connect=0, read=0, other=0, redirect=_REDIRECTS),
    }
    proxy = urllib.request.getproxies().get("https")
    made: _Direct | _Proxied
    if proxy and not urllib.request.proxy_bypass(urlsplit(start).hostname or ""):
        made = _Proxied(proxy, **options)
    else:
        made = _Direct(**options)
    made.start = start
    return made


def _trusted(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise FlameMcpError(f"{ca_file} holds no usable certificate: {error}") from error
