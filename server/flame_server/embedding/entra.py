"""Microsoft Entra workload identity: exchanges a service account token for one that Azure OpenAI accepts.

The workload identity webhook of AKS sets the variables in the pod. See RFC 7523, section 2.2,
and "Microsoft identity platform and the OAuth 2.0 client credentials flow", third case.
"""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx2

from flame_server.answers import AnswerError, Bounds, bound
from flame_server.embedding.errors import EmbeddingError

_SCOPE = "https://cognitiveservices.azure.com/.default"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_VARIABLES = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE")
_TIMEOUT_SECONDS = 5.0
_BOUNDS = Bounds(bytes=64 * 1024, nodes=64)
# Entra tokens are valid for an hour or more.
_RENEW_BEFORE_SECONDS = 300.0


class WorkloadIdentity:
    """Provides access tokens, and caches each until shortly before it expires. For one event loop.

    Raises:
        EmbeddingError: A variable is missing.
    """

    def __init__(
        self, environment: Mapping[str, str] = os.environ, clock: Callable[[], float] = time.monotonic
    ) -> None:
        missing = [name for name in _VARIABLES if not environment.get(name)]
        if missing:
            raise EmbeddingError(
                "credentials",
                f"there is neither an API key nor {', '.join(missing)}: set "
                "FLAME_MCP_AZURE_OPENAI_API_KEY_FILE, or give the pod a workload identity",
            )
        tenant, self._client_id, self._file = (environment[name] for name in _VARIABLES)
        authority = environment.get("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com")
        self._url = f"{authority.rstrip('/')}/{tenant}/oauth2/v2.0/token"
        self._clock = clock
        self._token = ""
        self._renew_at = clock()

    async def __call__(self) -> str:
        """A token that is valid for some minutes.

        Raises:
            EmbeddingError: Entra refuses, or does not answer.
        """
        if self._clock() >= self._renew_at:
            try:
                async with httpx2.AsyncClient(timeout=_TIMEOUT_SECONDS) as client:
                    bound(client, _BOUNDS)
                    response = await client.post(self._url, data=self._request())
            except (httpx2.HTTPError, AnswerError) as error:
                text = f"Microsoft Entra does not answer: {type(error).__name__}"
                raise EmbeddingError("connection", text) from error
            self._token, seconds = _read(response)
            self._renew_at = self._clock() + max(seconds - _RENEW_BEFORE_SECONDS, 0)
        return self._token

    def _request(self) -> dict[str, str]:
        try:
            # The kubelet renews the file, so it is read each time.
            assertion = Path(self._file).read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            text = f"AZURE_FEDERATED_TOKEN_FILE names {self._file}, which cannot be read"
            raise EmbeddingError("credentials", text) from error
        return {
            "grant_type": "client_credentials",
            "client_id": self._client_id,
            "client_assertion_type": _ASSERTION,
            "client_assertion": assertion,
            "scope": _SCOPE,
        }


def _read(response: httpx2.Response) -> tuple[str, float]:
    try:
        body = response.json()
        if response.status_code == 200:
            return str(body["access_token"]), float(body["expires_in"])
        # The first sentence names the cause (AADSTS...); the rest are ids of the request.
        problem = str(body.get("error_description", body.get("error", ""))).partition(". ")[0]
        problem = "".join(character for character in problem if character.isprintable())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        problem = "no OAuth answer"
    raise EmbeddingError(
        "credentials" if response.status_code < 500 else "service",
        f"Microsoft Entra gives no token (HTTP {response.status_code}: {problem[:200]}): check the federated "
        "credential of the workload identity",
    )
