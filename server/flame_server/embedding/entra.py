"""Microsoft Entra workload identity: exchanges a service account token for one that Azure OpenAI accepts.

The workload identity webhook of AKS sets the variables in the pod. See RFC 7523, section 2.2,
and "Microsoft identity platform and the OAuth 2.0 client credentials flow", third case.
"""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import httpx2

from flame_server.answers import AnswerError, Bounds, bound
from flame_server.embedding.errors import EmbeddingError
from flame_server.embedding.protocol.words import cleaned

CloudName = Literal["Public", "USGovernment", "China"]
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_VARIABLES = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE")
_TIMEOUT_SECONDS = 5.0
_BOUNDS = Bounds(bytes=64 * 1024, nodes=64)
# Entra tokens are valid for an hour or more.
_RENEW_BEFORE_SECONDS = 300.0
_LONGEST_SECONDS = 2 * 86_400.0


@dataclass(frozen=True)
class Cloud:
    """Where a cloud of Azure gives tokens, and the scope that its services ask for.

    Attributes:
        authority: The address of Microsoft Entra there.
        scope: What a token is asked for.
        domains: How the names of the cloud's services end.
        hosts: All names of the authority.
    """

    authority: str
    scope: str
    domains: tuple[str, ...]
    hosts: tuple[str, ...]


_CLOUDS: Mapping[CloudName, Cloud] = {
    "Public": Cloud(
        "https://login.microsoftonline.com",
        "https://cognitiveservices.azure.com/.default",
        (".azure.com", ".azure-api.net"),
        ("login.microsoftonline.com", "login.windows.net"),
    ),
    "USGovernment": Cloud(
        "https://login.microsoftonline.us",
        "https://cognitiveservices.azure.us/.default",
        (".azure.us", ".azure-api.us"),
        ("login.microsoftonline.us",),
    ),
    "China": Cloud(
        "https://login.chinacloudapi.cn",
        "https://cognitiveservices.azure.cn/.default",
        (".azure.cn", ".azure-api.cn"),
        ("login.chinacloudapi.cn", "login.partner.microsoftonline.cn"),
    ),
}


def sign_in(endpoint: str, named: CloudName | None, given: str) -> tuple[str, str]:
    """The authority and the scope to ask for tokens, which must be of one cloud.

    Args:
        endpoint: The address of the service. Its domain tells the cloud, if none is named.
        named: The cloud of the settings.
        given: AZURE_AUTHORITY_HOST. It tells the cloud if nothing else does, and replaces the authority if it
            is none of a known cloud; the webhook sets it to that of the cluster, which may be another.
    """
    host = (urlsplit(endpoint).hostname or "").rstrip(".")
    authority = urlsplit(given).hostname or ""
    known = next((cloud for cloud in _CLOUDS.values() if authority in cloud.hosts), None)
    by_domain = (cloud for cloud in _CLOUDS.values() if host.endswith(cloud.domains))
    cloud = _CLOUDS[named] if named else next(by_domain, known or _CLOUDS["Public"])
    fits = given and known in (None, cloud)
    return given.rstrip("/") if fits else cloud.authority, cloud.scope


class WorkloadIdentity:
    """Provides access tokens, and caches each until shortly before it expires. For one event loop.

    Args:
        endpoint: The address of the service that the tokens are for.
        cloud: Azure's cloud; None means that of the endpoint.
        environment: Replaces the process's variables, for tests.
        clock: Replaces the clock, for tests.

    Raises:
        EmbeddingError: A variable is missing.
    """

    def __init__(
        self,
        endpoint: str,
        cloud: CloudName | None = None,
        environment: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        missing = [name for name in _VARIABLES if not environment.get(name)]
        if missing:
            raise EmbeddingError(
                "credentials",
                f"there is neither an API key nor {', '.join(missing)}: set "
                "FLAME_MCP_AZURE_OPENAI_API_KEY_FILE, or give the pod a workload identity",
            )
        tenant, self._client_id, self._file = (environment[name] for name in _VARIABLES)
        authority, self._scope = sign_in(endpoint, cloud, environment.get("AZURE_AUTHORITY_HOST", ""))
        self._url = f"{authority}/{tenant}/oauth2/v2.0/token"
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
                # Reading the bundle of CAs takes 25 to 50 ms, and OpenSSL does it without Python's lock.
                trusted = await asyncio.to_thread(httpx2.create_ssl_context)
                async with httpx2.AsyncClient(timeout=_TIMEOUT_SECONDS, verify=trusted) as client:
                    bound(client, _BOUNDS)
                    request = self._request()
                    response = await client.post(self._url, data=request)
            except (httpx2.HTTPError, AnswerError) as error:
                text = f"Microsoft Entra does not answer: {type(error).__name__}"
                raise EmbeddingError("connection", text) from error
            self._token, seconds = _read(response, request["client_assertion"])
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
            "scope": self._scope,
        }


def _read(response: httpx2.Response, assertion: str) -> tuple[str, float]:
    try:
        body = response.json()
        if response.status_code == 200:
            # Not a number, for one, is never over.
            seconds = float(body["expires_in"])
            return str(body["access_token"]), seconds if 0 <= seconds <= _LONGEST_SECONDS else 0.0
        # The first sentence names the cause (AADSTS...); the rest are ids of the request.
        problem = str(body.get("error_description", body.get("error", ""))).partition(". ")[0]
        problem = cleaned(problem, [assertion])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        problem = "no OAuth answer"
    raise EmbeddingError(
        "credentials" if response.status_code < 500 else "service",
        f"Microsoft Entra gives no token (HTTP {response.status_code}: {problem}): check the federated "
        "credential of the workload identity",
    )
