"""One plain connection to the API server, for hundreds of dry runs, and what tests expect of its answers."""

import http.client
import json
import ssl
from collections.abc import Callable

from flame_operator.resource.kinds import SERVER, key_of
from tests.harness.control_plane import ControlPlane
from tests.support.cluster.cluster import Json

DRY_RUN = "?dryRun=All&fieldValidation=Strict"

Store = Callable[..., Json]
"""Stores `server(name, namespace, **spec)` and returns what the API server made of it."""


class Client:
    """The API server through one connection: a kubectl for each of some hundred cases would take minutes."""

    def __init__(self, plane: ControlPlane) -> None:
        pki, at = plane.state / "pki", plane.endpoints
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        self.connection = http.client.HTTPSConnection(at.address, at.api_port, timeout=30, context=context)

    def send(self, method: str, path: str, body: object = None, kind: str = "json") -> tuple[int, Json]:
        """The status code and the body of the answer: an object, or a Status that says what is wrong."""
        headers = {"Content-Type": f"application/{kind}", "Accept": "application/json"}
        self.connection.request(method, path, json.dumps(body), headers)
        answer = self.connection.getresponse()
        found: Json = json.loads(answer.read())
        return answer.status, found

    def create(self, body: Json, query: str = DRY_RUN) -> tuple[int, Json]:
        return self.send("POST", SERVER.path(body["metadata"]["namespace"]) + query, body)


def path_of(body: Json) -> str:
    return SERVER.path(*key_of(body))


def refused(code: int, answer: Json, says: str) -> None:
    assert code in (400, 422), answer
    assert says in answer["message"]
    assert "evaluating rule" not in answer["message"]  # a rule that failed instead of saying no
