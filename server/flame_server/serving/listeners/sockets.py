"""Opens the sockets on which the server listens."""

import errno
import socket

EVERYWHERE = "::"
"""The host that stands for all addresses of both families, IPv4 and IPv6."""
_NO_FAMILY = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT}
"""What a machine says that has only the other family."""


def listen(host: str, port: int, backlog: int) -> list[socket.socket]:
    """Sockets for a host and port: two for `EVERYWHERE` where both families exist, one otherwise.

    One socket for both would show IPv4 clients with IPv6 addresses, which neither rate limits nor
    FORWARDED_ALLOW_IPS would take for those that users write.

    Raises:
        OSError: The port is taken, or there is no such address.
    """
    if host != EVERYWHERE:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return [socket.create_server((host, port), family=family, backlog=backlog)]
    found: list[socket.socket] = []
    missing: OSError | None = None
    for family, address in ((socket.AF_INET6, "::"), (socket.AF_INET, "0.0.0.0")):  # noqa: S104 - as asked for
        try:
            found.append(socket.create_server((address, port), family=family, backlog=backlog))
        except OSError as error:
            if error.errno not in _NO_FAMILY:
                for opened in found:
                    opened.close()
                raise
            missing = error
        else:
            port = int(found[-1].getsockname()[1])
    if not found and missing:
        raise missing
    return found


def shown(host: str, port: int) -> str:
    """A host and port as in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
