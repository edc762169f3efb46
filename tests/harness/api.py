"""A minimal client for the API server's own endpoints: a health check must not cost a kubectl start."""

import http.client
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.harness.components import Endpoints


@dataclass(frozen=True)
class Api:
    """The API server as its admin sees it; `pki` is the authority's folder."""

    at: Endpoints
    pki: Path

    def get(self, path: str, timeout: float = 5.0) -> str | None:
        """The body of a 200 answer; None for any other answer, or none."""
        if not (self.pki / "admin.key").exists():
            return None
        context = ssl.create_default_context(cafile=str(self.pki / "ca.crt"))
        context.load_cert_chain(self.pki / "admin.crt", self.pki / "admin.key")
        connection = http.client.HTTPSConnection(
            self.at.address, self.at.api_port, timeout=timeout, context=context
        )
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        return body if answer.status == http.client.OK else None

    def get_object(self, path: str) -> dict[str, Any]:
        """A JSON answer; empty when there is none."""
        body = self.get(path)
        found: dict[str, Any] = json.loads(body) if body else {}
        return found

    def ready(self) -> bool:
        """Whether the API server says that all its parts are up."""
        return self.get("/readyz") == "ok"
