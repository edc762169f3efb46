"""A stand-in of an embedding service, and a model of it."""

from collections.abc import Iterator

import pytest

from flame_server.embedding.service import ServiceModel
from tests.support.server.embedding_service import DEPLOYMENT, KEY, VERSION, StandIn, served


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with served() as service:
        yield service


@pytest.fixture
def azure(stand_in: StandIn) -> ServiceModel:
    return ServiceModel("AzureOpenAI", stand_in.url, DEPLOYMENT, api_version=VERSION, api_key=KEY)


@pytest.fixture
def openai(stand_in: StandIn) -> ServiceModel:
    return ServiceModel("OpenAI", f"{stand_in.url}/v1", "own-model", api_key=KEY)
