"""The operator's settings, from environment variables `FLAME_OPERATOR_*`."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

DEFAULT_SERVER_IMAGE = "flame-mcp-server:0.1.0"


class Settings(BaseSettings):
    """Every variable has a default; the chart sets the image."""

    model_config = SettingsConfigDict(env_prefix="FLAME_OPERATOR_", frozen=True)

    server_image: Annotated[str, Field(min_length=1)] = DEFAULT_SERVER_IMAGE
    """The image of servers whose spec names none."""
    resync_seconds: Annotated[float, Field(ge=1, le=86400)] = 600
    """How often everything is listed to find what a broken watch missed; up to 10 % sooner or later."""
    workers: Annotated[int, Field(ge=1, le=256)] = 16
    """How many resources are worked on at once."""
    api_concurrency: Annotated[int, Field(ge=1, le=256)] = 16
    """How many API requests are in flight at once."""
    drain_seconds: Annotated[float, Field(ge=0, le=3600)] = 20
    """How long work that has begun may take after SIGTERM."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] = "json"
