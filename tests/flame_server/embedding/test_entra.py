"""Workload identity: a pod's token becomes one for Azure OpenAI."""

from dataclasses import replace
from pathlib import Path

import pytest

from flame_server.embedding.entra import WorkloadIdentity
from flame_server.embedding.errors import EmbeddingError
from flame_server.embedding.service import ServiceModel
from tests.support.server.asgi import Clock
from tests.support.server.embedding_service import StandIn, embed


def identity(stand_in: StandIn, tmp_path: Path, clock: Clock | None = None) -> WorkloadIdentity:
    (tmp_path / "assertion").write_text("pod-token\n")
    environment = {
        "AZURE_TENANT_ID": "tenant",
        "AZURE_CLIENT_ID": "client",
        "AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "assertion"),
        "AZURE_AUTHORITY_HOST": stand_in.url,
    }
    return WorkloadIdentity(environment, clock or Clock())


async def test_a_pods_token_becomes_one_for_azure_and_is_kept(stand_in: StandIn, tmp_path: Path) -> None:
    clock = Clock()
    token = identity(stand_in, tmp_path, clock)
    assert await token() == await token()
    assert stand_in.token_requests == [
        {
            "grant_type": ["client_credentials"],
            "client_id": ["client"],
            "client_assertion_type": ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"],
            "client_assertion": ["pod-token"],
            "scope": ["https://cognitiveservices.azure.com/.default"],
        }
    ]
    clock.now += 3_301
    (tmp_path / "assertion").write_text("renewed")
    await token()
    assert stand_in.token_requests[1]["client_assertion"] == ["renewed"]


async def test_without_a_key_the_pods_identity_is_used(
    stand_in: StandIn, azure: ServiceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "assertion").write_text("pod-token")
    monkeypatch.setenv("AZURE_TENANT_ID", "tenant")
    monkeypatch.setenv("AZURE_CLIENT_ID", "client")
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "assertion"))
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", stand_in.url)
    assert (await embed(replace(azure, api_key=None), "x")).shape == (1, 8)
    stand_in.entra_status = 401
    with pytest.raises(EmbeddingError, match=r"AADSTS70021: No matching.*check the federated"):
        await embed(replace(azure, api_key=None), "x")


async def test_no_key_and_no_identity_is_said() -> None:
    with pytest.raises(EmbeddingError, match="neither an API key nor AZURE_TENANT_ID, AZURE_CLIENT_ID"):
        WorkloadIdentity({})
