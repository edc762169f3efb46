"""A service on loopback that speaks the REST of Azure OpenAI, OpenAI and Entra's tokens."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

from flame_server.embedding.documents import DocumentEmbedder
from flame_server.embedding.identity import Vectors
from flame_server.embedding.service import EmbeddingService, ServiceModel
from flame_server.index.build import build_index
from tests.support.server.in_thread import serving

KEY = "azure-s3cret"
ENTRA_TOKEN = "entra-s3cret"  # noqa: S105
VERSION = "2024-10-21"
DEPLOYMENT = "embed-small"
MODEL = "text-embedding-3-small"


class StandIn:
    """What the service knows and how it behaves.

    Attributes:
        failures: Answered first, one a request: a status, with headers and the service's words.
        wrong_dimensions: Vectors have one dimension more than asked for.
        stalled: Requests wait until this is set again.
    """

    def __init__(self) -> None:
        self.url = ""
        self.dimensions = 8
        self.failures: list[tuple[int, dict[str, str]]] = []
        self.wrong_dimensions = False
        self.stalled: threading.Event | None = None
        self.requests: list[dict[str, Any]] = []
        self.token_requests: list[dict[str, list[str]]] = []
        self.entra_status = 200

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], Any]:
        parts = urlsplit(path)
        if parts.path == "/tenant/oauth2/v2.0/token":
            return self._token(parse_qs(body.decode()))
        request = json.loads(body)
        self.requests.append({**request, "path": parts.path})
        if self.stalled is not None:
            self.stalled.wait(20)
        if self.failures:
            status, more = self.failures.pop(0)
            return status, more, {"error": {"code": str(status), "message": f"no: {request['input']}"}}
        if (problem := self._problem(parts.path, parts.query, headers)) is not None:
            return problem, {}, {"error": {"code": str(problem), "message": "Access denied"}}
        return 200, {}, self._vectors(request)

    def _problem(self, path: str, query: str, headers: dict[str, str]) -> int | None:
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        if path == f"/openai/deployments/{DEPLOYMENT}/embeddings":
            allowed = headers.get("api-key") == KEY or bearer == ENTRA_TOKEN
            known = parse_qs(query).get("api-version") == [VERSION]
        elif path == "/v1/embeddings":
            allowed, known = bearer in (KEY, "none"), True
        else:
            return 404
        return None if allowed and known else 401 if known else 404

    def _vectors(self, request: dict[str, Any]) -> dict[str, Any]:
        assert all(request["input"])
        size = request.get("dimensions", self.dimensions) + self.wrong_dimensions
        data = [
            {"object": "embedding", "index": number, "embedding": _encoded(text, size, request)}
            for number, text in enumerate(request["input"])
        ]
        tokens = sum(len(text) // 4 + 1 for text in request["input"])
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        # Out of order, as the specification allows.
        return {"object": "list", "data": data[::-1], "model": MODEL, "usage": usage}

    def _token(self, form: dict[str, list[str]]) -> tuple[int, dict[str, str], Any]:
        self.token_requests.append(form)
        if self.entra_status != 200:
            text = "AADSTS70021: No matching federated identity record found. Trace ID: 1"
            return self.entra_status, {}, {"error": "invalid_request", "error_description": text}
        return 200, {}, {"token_type": "Bearer", "expires_in": 3_600, "access_token": ENTRA_TOKEN}


def vector(text: str, size: int) -> Vectors:
    """A vector that depends on each word of a text: texts that share words are near each other."""
    total = np.zeros(size, dtype=np.float32)
    for word in text.lower().split():
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
        total += np.random.default_rng(seed).normal(size=size).astype(np.float32)
    return 3 * total


def _encoded(text: str, size: int, request: dict[str, Any]) -> str | list[float]:
    found = vector(text, size)
    if request.get("encoding_format") == "base64":
        return base64.b64encode(found.astype("<f4").tobytes()).decode()
    return [float(value) for value in found]


@contextmanager
def served() -> Iterator[StandIn]:
    """The service on a free port of loopback."""
    stand_in = StandIn()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, more, content = stand_in.answer(self.path, headers, body)
            data = json.dumps(content).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            for name, value in more.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    stand_in.url = f"http://127.0.0.1:{server.server_port}"
    with serving(server):
        try:
            yield stand_in
        finally:
            if stand_in.stalled:
                stand_in.stalled.set()


async def embed(model: ServiceModel, *texts: str, retries: int = 0) -> Vectors:
    asked = EmbeddingService(model, retries, 20)
    try:
        return (await asked.embed(texts)).vectors
    finally:
        await asked.close()


def build_with_service(docs: Path, out: Path, model: ServiceModel) -> list[str]:
    heard: list[str] = []
    build_index(str(docs), out, embedding=DocumentEmbedder(model, heard.append), report=heard.append)
    return heard
