"""Workload identity: a pod's token becomes one for Azure OpenAI."""

from dataclasses import replace
from pathlib import Path

import pytest

from flame_server.embedding.entra import CloudName, WorkloadIdentity, sign_in
from flame_server.embedding.errors import EmbeddingError
from flame_server.embedding.service import ServiceModel
from tests.support.server.asgi import Clock
from tests.support.server.embedding_service import ENTRA_TOKEN, StandIn, embed


def identity(stand_in: StandIn, tmp_path: Path, clock: Clock | None = None) -> WorkloadIdentity:
    (tmp_path / "assertion").write_text("pod-token\n")
    environment = {
        "AZURE_TENANT_ID": "tenant",
        "AZURE_CLIENT_ID": "client",
        "AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "assertion"),
        "AZURE_AUTHORITY_HOST": stand_in.url,
    }
    return WorkloadIdentity("https://x.openai.azure.com", environment=environment, clock=clock or Clock())


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
        WorkloadIdentity("https://x.openai.azure.com", environment={})


PUBLIC = ("https://login.microsoftonline.com", "https://cognitiveservices.azure.com/.default")
GOVERNMENT = ("https://login.microsoftonline.us", "https://cognitiveservices.azure.us/.default")
CHINA = ("https://login.chinacloudapi.cn", "https://cognitiveservices.azure.cn/.default")
GATEWAY = "https://models.example.com"
CLOUDS: list[tuple[str, CloudName | None, str, tuple[str, str]]] = [
    ("https://team.openai.azure.com", None, "", PUBLIC),
    ("https://team.cognitiveservices.azure.com/", None, "", PUBLIC),
    ("https://team.openai.azure.us", None, "", GOVERNMENT),
    ("https://TEAM.openai.azure.us.:443/", None, "", GOVERNMENT),
    ("https://team.openai.azure.cn", None, "", CHINA),
    ("https://team.azure-api.cn", None, "", CHINA),
    # The webhook's variable is of the cluster's cloud: it tells it where the address doesn't.
    (GATEWAY, None, "", PUBLIC),
    (GATEWAY, None, "https://login.microsoftonline.us/", GOVERNMENT),
    (
        GATEWAY,
        None,
        "https://login.partner.microsoftonline.cn/",
        ("https://login.partner.microsoftonline.cn", CHINA[1]),
    ),
    ("https://team.openai.azure.us", None, "https://login.microsoftonline.com/", GOVERNMENT),
    ("https://team.openai.azure.com", None, "https://login.chinacloudapi.cn/", PUBLIC),
    (GATEWAY, "China", "", CHINA),
    (GATEWAY, "USGovernment", "https://login.microsoftonline.com/", GOVERNMENT),
    ("https://team.openai.azure.us", "Public", "", PUBLIC),
    # A cloud of its own.
    (GATEWAY, "USGovernment", "https://login.example.com/", ("https://login.example.com", GOVERNMENT[1])),
    # Names that only look so.
    ("https://openai.azure.us.example.com", None, "", PUBLIC),
    ("https://notazure.us", None, "", PUBLIC),
]


@pytest.mark.parametrize(("endpoint", "named", "given", "expected"), CLOUDS)
def test_authority_and_scope_are_of_one_cloud(
    endpoint: str, named: CloudName | None, given: str, expected: tuple[str, str]
) -> None:
    assert sign_in(endpoint, named, given) == expected


async def test_the_scope_of_another_cloud_is_asked_for(
    stand_in: StandIn, azure: ServiceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "assertion").write_text("pod-token")
    monkeypatch.setenv("AZURE_TENANT_ID", "tenant")
    monkeypatch.setenv("AZURE_CLIENT_ID", "client")
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "assertion"))
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", stand_in.url)
    await embed(replace(azure, api_key=None, cloud="USGovernment"), "x")
    assert stand_in.token_requests[0]["scope"] == [GOVERNMENT[1]]


async def test_neither_token_comes_back_in_an_error(
    stand_in: StandIn, azure: ServiceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "assertion").write_text("p0d-t0ken")
    monkeypatch.setenv("AZURE_TENANT_ID", "tenant")
    monkeypatch.setenv("AZURE_CLIENT_ID", "client")
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "assertion"))
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", stand_in.url)
    stand_in.most_texts, stand_in.refusal = 0, (400, f"You sent {ENTRA_TOKEN}, which is wrong")
    with pytest.raises(EmbeddingError, match='it says "You sent … which is wrong') as raised:
        await embed(replace(azure, api_key=None), "x")
    assert "s3cret" not in str(raised.value)
    stand_in.entra_status, stand_in.entra_words = 400, "AADSTS1: p0d-t0ken is no token. More"
    with pytest.raises(EmbeddingError, match="HTTP 400: AADSTS1: … is no token"):
        await embed(replace(azure, api_key=None), "x")
