"""A service on loopback that speaks the REST of Azure OpenAI, OpenAI and Entra's tokens."""

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
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
        failures: Answered first, one a request: a status and headers, with words that repeat the request.
        raw: Answered instead of vectors, with status 200.
        most_texts: Requests with more texts are refused.
        refusal: The status, and the words about how many texts are taken.
        formats: What `encoding_format` may be; None means that it may be left out.
        unclear: Refusals of a format don't say that they are about it.
        given: The format of vectors, whatever is asked for.
        without: What answers lack: usage, index or model.
        order: Makes the order in which vectors come from that of the texts.
        wrong_dimensions: Vectors have one dimension more than asked for.
        stalled: Requests wait until this is set again.
    """

    def __init__(self) -> None:
        self.url = ""
        self.dimensions = 8
        self.failures: list[tuple[int, dict[str, str]]] = []
        self.raw: bytes | None = None
        self.most_texts = 2_048
        self.refusal = (422, "batch size {given} > maximum allowed batch size {most}")
        self.formats: tuple[str | None, ...] = ("base64", "float", None)
        self.unclear = False
        self.given: str | None = None
        self.without: tuple[str, ...] = ()
        # As the specification allows.
        self.order: Callable[[list[Any]], list[Any]] = lambda data: data[::-1]
        self.wrong_dimensions = False
        self.stalled: threading.Event | None = None
        self.requests: list[dict[str, Any]] = []
        self.token_requests: list[dict[str, list[str]]] = []
        self.entra_status = 200
        self.entra_words = "AADSTS70021: No matching federated identity record found. Trace ID: 1"

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
        if (refused := self._refused(request)) is not None:
            return refused[0], {}, {"error": {"message": refused[1], "type": "invalid_request_error"}}
        return 200, {}, self._vectors(request) if self.raw is None else self.raw

    def _refused(self, request: dict[str, Any]) -> tuple[int, str] | None:
        asked, given = request.get("encoding_format"), len(request["input"])
        if asked not in self.formats:
            return 400, "bad request" if self.unclear else f"encoding_format={asked} is not supported"
        if given > self.most_texts:
            return self.refusal[0], self.refusal[1].format(given=given, most=self.most_texts)
        return None

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
        encoding = self.given or request.get("encoding_format")
        data = [
            {"object": "embedding", "index": number, "embedding": _encoded(text, size, encoding)}
            for number, text in enumerate(request["input"])
        ]
        tokens = sum(len(text) // 4 + 1 for text in request["input"])
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        for item in data if "index" in self.without else ():
            del item["index"]
        data = data if "index" in self.without else self.order(data)
        answer = {"object": "list", "data": data, "model": MODEL, "usage": usage}
        return {name: value for name, value in answer.items() if name not in self.without}

    def _token(self, form: dict[str, list[str]]) -> tuple[int, dict[str, str], Any]:
        self.token_requests.append(form)
        if self.entra_status != 200:
            words = {"error": "invalid_request", "error_description": self.entra_words}
            return self.entra_status, {}, words
        return 200, {}, {"token_type": "Bearer", "expires_in": 3_600, "access_token": ENTRA_TOKEN}


def vector(text: str, size: int) -> Vectors:
    """A vector that depends on each word of a text: texts that share words are near each other."""
    total = np.zeros(size, dtype=np.float32)
    for word in text.lower().split():
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
        total += np.random.default_rng(seed).normal(size=size).astype(np.float32)
    return 3 * total


def _encoded(text: str, size: int, encoding: str | None) -> str | list[float]:
    found = vector(text, size)
    if encoding == "base64":
        return base64.b64encode(found.astype("<f4").tobytes()).decode()
    return [float(value) for value in found]


@contextmanager
def served() -> Iterator[StandIn]:
    """The service on a free port of loopback."""
    stand_in = StandIn()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # One packet an answer: the second of two waits for the client's acknowledgement.
        wbufsize = -1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, more, content = stand_in.answer(self.path, headers, body)
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
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
