"""The server's settings, from environment variables `FLAME_MCP_*`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "FLAME_MCP_"
MAX_LIMIT = 20
MIN_TOKENS = 500
MAX_TOKENS = 10_000


class SettingsError(Exception):
    """A variable has a value that cannot be used; the text names it."""


class Settings(BaseSettings):
    """What `flame-mcp serve` runs with."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore")

    index_dir: Path = Path("/opt/flame-mcp/index")
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65_535)] = 8_000
    embedding_type: Literal["Local", "None"] = "Local"
    default_limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = 5
    max_tokens: Annotated[int, Field(ge=MIN_TOKENS, le=MAX_TOKENS)] = 4_000
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] = "json"
    shutdown_grace_seconds: Annotated[int, Field(ge=0, le=3_600)] = 25


def load_settings() -> Settings:
    """The settings of this process.

    Raises:
        SettingsError: A variable's value is not of its type or out of range.
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = (
            f"{PREFIX}{str(problem['loc'][0]).upper()}: {_plain(problem['msg'])}, not {problem['input']!r}"
            for problem in error.errors()
        )
        raise SettingsError("; ".join(problems)) from error


def _plain(message: str) -> str:
    return message[:1].lower() + message[1:]
