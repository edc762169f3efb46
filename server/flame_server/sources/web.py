"""Where requests for sources may go: their users choose the first address, servers the ones after it."""

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
"""What a server can't do at all, of the statuses from 500 on."""


def may_pass(status: int) -> bool:
    """Whether an HTTP status says that the same request may do better later (RFC 9110, section 15)."""
    return status in _PASSING or (status >= 500 and status not in _LASTING)


def refuse_redirect(start: str, place: str) -> None:
    """Makes sure that a request that began at `start` may go on to `place`.

    Raises:
        FlameMcpError: It isn't https, or leads from another host into this machine or onto its link.
    """
    first, parts = urlsplit(start), urlsplit(place)
    if parts.scheme != "https":
        raise FlameMcpError(f"{first.hostname} leads to {parts.scheme}://{parts.hostname}, which isn't https")
    if parts.hostname == first.hostname:
        return
    # What cannot be resolved here is for the proxy, or fails in a moment.
    with suppress(OSError, ValueError):
        for found in socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM):
            if _is_inside(str(found[4][0])):
                raise FlameMcpError(
                    f"{first.hostname} leads to {parts.hostname}, which is inside the machine"
                )


def check_address(url: str) -> str:
    """An address that a source may have.

    Raises:
        ValueError: It isn't https, has no host, or has a user: passwords are in files.
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
    """Looks at every address before a request goes there; urllib3 comes through here for redirects, too."""

    start = ""

    def urlopen(self, method: str, url: str, redirect: bool = True, **kw: Any) -> Any:  # noqa: ANN401 - as urllib3 has it
        """See `urllib3.PoolManager`."""
        refuse_redirect(self.start, url)
        return super().urlopen(method, url, redirect=redirect, **kw)  # type: ignore[misc]  # of the class beside it


class _Direct(_Guarded, urllib3.PoolManager):  # type: ignore[misc]  # its own types say the same
    pass


class _Proxied(_Guarded, urllib3.ProxyManager):  # type: ignore[misc]  # likewise
    pass


def pool(start: str, ca_file: Path | None) -> urllib3.PoolManager:
    """Connections for requests that begin at `start`, through the environment's proxy where there is one.

    Raises:
        FlameMcpError: The file of authorities can't be used.
    """
    options: dict[str, Any] = {
        "ssl_context": _trusted(ca_file),
        # A Job tries again; here a failure is told at once.
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
