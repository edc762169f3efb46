"""Credentials, read once at the start from the files that settings `*_FILE` name."""

from dataclasses import dataclass, field
from pathlib import Path

from flame_server.errors import SettingsError
from flame_server.settings import Settings, variable

_MAX_BYTES = 65_536


@dataclass(frozen=True)
class Credentials:
    """The secrets of the server. They never appear in a log, an error or a repr."""

    auth_token: str | None = field(default=None, repr=False)
    embedding_api_key: str | None = field(default=None, repr=False)
    qdrant_api_key: str | None = field(default=None, repr=False)


def load_credentials(settings: Settings) -> Credentials:
    """Reads the secrets from the files that the settings name.

    Raises:
        SettingsError: A file cannot be read or holds no usable secret. The text never contains the secret.
    """
    return Credentials(
        auth_token=_secret(settings.auth_token_file, "auth_token_file"),
        embedding_api_key=_embedding_api_key(settings),
        qdrant_api_key=(
            _secret(settings.qdrant_api_key_file, "qdrant_api_key_file")
            if settings.vector_store_type == "Qdrant"
            else None
        ),
    )


def _embedding_api_key(settings: Settings) -> str | None:
    # Only the key in use: the file of another type may not exist.
    match settings.embedding_type:
        case "AzureOpenAI":
            return _secret(settings.azure_openai_api_key_file, "azure_openai_api_key_file")
        case "OpenAI":
            return _secret(settings.openai_api_key_file, "openai_api_key_file")
        case _:
            return None


def _secret(path: Path | None, setting: str) -> str | None:
    if path is None:
        return None
    where = f"{variable(setting)} names {path}"
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"{where}, which cannot be read: {error.strerror or error}") from error
    secret = data.strip()
    if not secret:
        raise SettingsError(f"{where}, which is empty: put the secret there")
    # Anything else cannot be sent in an HTTP header.
    if len(data) > _MAX_BYTES or not all(0x21 <= byte <= 0x7E for byte in secret):
        raise SettingsError(f"{where}, which holds no usable secret: it must be one line of printable ASCII")
    return secret.decode("ascii")
