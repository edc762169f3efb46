"""The client of embedding services: against a stand-in, and against the real one where its variables are set.

They are AZURE_OPENAI_ENDPOINT, AZURE_OPENAI_DEPLOYMENT, AZURE_OPENAI_API_KEY and AZURE_OPENAI_API_VERSION.
For any service with OpenAI's API: OPENAI_BASE_URL, OPENAI_EMBEDDING_MODEL, OPENAI_API_KEY if it needs one.
"""

import math
import os
import time
from dataclasses import replace
from email.utils import formatdate

import numpy as np
import pytest

from flame_server.embedding.errors import EmbeddingError
from flame_server.embedding.service import Format, ServiceModel
from tests.support.server.embedding_service import KEY, VERSION, StandIn, embed


@pytest.fixture(params=["stand-in", "real"])
def any_azure(request: pytest.FixtureRequest) -> ServiceModel:
    """The stand-in's model, and a real one's where there is one."""
    if request.param == "stand-in":
        model: ServiceModel = request.getfixturevalue("azure")
        return model
    variables = [os.environ.get(f"AZURE_OPENAI_{name}") for name in ("ENDPOINT", "DEPLOYMENT", "API_KEY")]
    endpoint, deployment, key = variables
    if not (endpoint and deployment and key):
        pytest.skip("no real service: set AZURE_OPENAI_ENDPOINT, _DEPLOYMENT and _API_KEY")
    version = os.environ.get("AZURE_OPENAI_API_VERSION", VERSION)
    return ServiceModel("AzureOpenAI", endpoint, deployment, api_version=version, api_key=key)


@pytest.fixture(params=["stand-in", "real"])
def any_openai(request: pytest.FixtureRequest) -> ServiceModel:
    """The stand-in's model, and a real one's where there is one."""
    if request.param == "stand-in":
        model: ServiceModel = request.getfixturevalue("openai")
        return model
    url, name = os.environ.get("OPENAI_BASE_URL"), os.environ.get("OPENAI_EMBEDDING_MODEL")
    if not (url and name):
        pytest.skip("no real service: set OPENAI_BASE_URL and OPENAI_EMBEDDING_MODEL")
    return ServiceModel("OpenAI", url, name, api_key=os.environ.get("OPENAI_API_KEY"))


@pytest.mark.parametrize("encoding", [None, "float", "base64"])
async def test_any_service_gives_the_same_vectors_in_each_format(
    any_openai: ServiceModel, encoding: Format | None
) -> None:
    first = await embed(any_openai, "the camera follows", "audio lag")
    again = await embed(replace(any_openai, encoding_format=encoding), "the camera follows", "audio lag")
    assert np.allclose(np.linalg.norm(first, axis=1), 1, atol=1e-5)
    assert np.allclose(first, again, atol=1e-3)


async def test_vectors_are_of_unit_length_and_in_order(any_azure: ServiceModel) -> None:
    vectors = await embed(any_azure, "the camera follows", "the camera follows", "audio lag")
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > 0.99 > vectors[0] @ vectors[2]


async def test_a_wrong_key_is_said_without_the_key(any_azure: ServiceModel) -> None:
    with pytest.raises(EmbeddingError, match=r"HTTP 401.*check the API key") as raised:
        await embed(replace(any_azure, api_key="wrong-key"), "secret question")
    assert raised.value.reason == "credentials"
    assert "secret" not in str(raised.value)
    assert "wrong-key" not in str(raised.value)


async def test_an_unknown_deployment_is_said(any_azure: ServiceModel) -> None:
    with pytest.raises(EmbeddingError, match=r"HTTP 404.*check the deployment"):
        await embed(replace(any_azure, model="no-such-deployment"), "x")


async def test_vectors_come_as_base64_and_of_the_size_that_was_asked_for(
    azure: ServiceModel, stand_in: StandIn
) -> None:
    assert (await embed(replace(azure, dimensions=5), "x")).shape == (1, 5)
    assert len(stand_in.requests) == 1
    assert (stand_in.requests[0]["encoding_format"], stand_in.requests[0]["dimensions"]) == ("base64", 5)
    stand_in.wrong_dimensions = True
    with pytest.raises(EmbeddingError, match="5 were expected"):
        await embed(replace(azure, dimensions=5), "x")


@pytest.mark.parametrize("key", [KEY, None])
async def test_anything_that_speaks_openais_api(stand_in: StandIn, key: str | None) -> None:
    model = ServiceModel("OpenAI", f"{stand_in.url}/v1", "any", api_key=key)
    assert (await embed(model, "x")).shape == (1, 8)
    assert stand_in.requests[0]["model"] == "any"


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        *((status, "service") for status in (408, 409, 425, 500, 503)),
        *((status, "refused") for status in (400, 402, 405, 413, 422)),
        (401, "credentials"),
        (403, "credentials"),
        (429, "rate"),
    ],
)
async def test_failures_have_a_reason_and_never_repeat_the_text(
    azure: ServiceModel, stand_in: StandIn, status: int, reason: str
) -> None:
    stand_in.failures = [(status, {})] * 3
    with pytest.raises(EmbeddingError, match='; it says "no: ') as raised:
        await embed(azure, "secret question")
    assert raised.value.reason == reason
    assert raised.value.kind == ("user" if reason in ("refused", "credentials") else "world")
    assert "secret" not in str(raised.value)
    assert len(stand_in.requests) == (3 if status in (400, 422) else 1)


async def test_a_build_waits_as_long_as_the_service_says(azure: ServiceModel, stand_in: StandIn) -> None:
    stand_in.failures = [
        (429, {"retry-after-ms": "20"}),
        (500, {"retry-after": "0.02"}),
        (408, {"retry-after-ms": "1"}),
    ]
    assert (await embed(azure, "x", retries=4)).shape == (1, 8)
    assert len(stand_in.requests) == 4


async def test_a_build_waits_until_the_date_that_the_service_says(
    azure: ServiceModel, stand_in: StandIn
) -> None:
    until = math.ceil(time.time()) + 1
    stand_in.failures = [(429, {"retry-after": formatdate(until, usegmt=True)})]
    assert (await embed(azure, "x", retries=1)).shape == (1, 8)
    assert time.time() >= until - 0.1


async def test_a_build_does_not_wait_for_longer_than_two_minutes(
    azure: ServiceModel, stand_in: StandIn
) -> None:
    stand_in.failures = [(429, {"retry-after": "121"})]
    with pytest.raises(EmbeddingError, match="HTTP 429") as raised:
        await embed(azure, "x", retries=4)
    assert raised.value.kind == "world"


async def test_nobody_there_is_said(azure: ServiceModel) -> None:
    with pytest.raises(EmbeddingError, match="cannot be reached") as raised:
        await embed(replace(azure, url="http://127.0.0.1:1"), "x")
    assert raised.value.reason == "connection"
