"""The repository over smart HTTP with TLS, and with basic authentication where a password is given."""

import ssl
from base64 import b64encode
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from dulwich.repo import Repo
from dulwich.server import BackendRepo, DictBackend
from dulwich.web import make_wsgi_chain


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = False

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - as the base has it
        # Git programs with GnuTLS take an end without TLS's own goodbye for a cut.
        with suppress(OSError, ValueError):
            request.settimeout(1)
            request.unwrap()
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as the base has it
        """A client that hangs up is part of the tests."""


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 - as the base has it
        """Nobody reads it."""


def server(  # noqa: PLR0917 - what a server consists of
    folder: Path, host: str, port: int, certificate: Path, key: Path, password: str | None = None
) -> WSGIServer:
    """A server of `folder` as `/flame.git`; port 0 takes a free one."""
    repositories: dict[str, BackendRepo] = {"/flame.git": Repo(str(folder))}
    backend = DictBackend(repositories)
    application = _protected(make_wsgi_chain(backend), password)
    found = make_server(host, port, application, server_class=_Server, handler_class=_Quiet)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    # Each connection shakes hands in its own thread, which closes it when that fails.
    found.socket = context.wrap_socket(found.socket, server_side=True, do_handshake_on_connect=False)
    return found


def _protected(application: Any, password: str | None) -> Callable[..., Iterable[bytes]]:  # noqa: ANN401
    wanted = f"Basic {b64encode(f'git:{password}'.encode()).decode()}"

    def checked(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:  # noqa: ANN401
        if password and environ.get("HTTP_AUTHORIZATION") != wanted:
            start_response("401 Unauthorized", [("WWW-Authenticate", 'Basic realm="git"')])
            return [b""]
        found: Iterable[bytes] = application(environ, start_response)
        return found

    return checked
