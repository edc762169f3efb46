"""Chooses the embedding that the settings ask for."""

from typing import Literal

from flame_server.credentials import Credentials
from flame_server.embedding.service import Format, ServiceModel
from flame_server.settings import Settings

_FORMATS: dict[str | None, Format | None] = {None: None, "Base64": "base64", "Float": "float"}


def embedding_of(settings: Settings, credentials: Credentials) -> Literal["Local", "None"] | ServiceModel:
    """The model of an embedding service, or the name of an embedding without one."""
    if settings.embedding_type in ("Local", "None"):
        return settings.embedding_type
    return service_model(settings, credentials)


def service_model(settings: Settings, credentials: Credentials) -> ServiceModel:
    """The model of the embedding service that the settings name. The settings must have been validated."""
    if settings.embedding_type == "AzureOpenAI":
        return ServiceModel(
            "AzureOpenAI",
            settings.azure_openai_endpoint or "",
            settings.azure_openai_deployment or "",
            settings.azure_openai_dimensions or 0,
            settings.azure_openai_api_version,
            credentials.embedding_api_key,
            settings.azure_openai_cloud,
            settings.azure_openai_batch_size,
            _FORMATS[settings.azure_openai_encoding_format],
        )
    return ServiceModel(
        "OpenAI",
        settings.openai_base_url,
        settings.openai_model or "",
        settings.openai_dimensions or 0,
        api_key=credentials.embedding_api_key,
        batch_size=settings.openai_batch_size,
        encoding_format=_FORMATS[settings.openai_encoding_format],
    )
