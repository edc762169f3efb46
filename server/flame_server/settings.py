"""The settings of the server, from environment variables `FLAME_MCP_*`."""

import os
import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from flame_server.errors import SettingsError

PREFIX = "FLAME_MCP_"
MAX_LIMIT = 20
MIN_TOKENS = 500
MAX_TOKENS = 10_000
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise ValueError("give an address like https://host/path, without user or query")
    return value


_INSECURE = "give an address that starts with https://: what comes over http can be read and replaced"
_SERVICE = re.compile(r"([-a-z0-9]+\.){2}svc(\.[-a-z0-9]+)*")


def _secure_address(value: str) -> str:
    if not _is_secure(_web_address(value)):
        raise ValueError(_INSECURE)
    return value


def _is_secure(address: str) -> bool:
    parts = urlsplit(address)
    return parts.scheme == "https" or parts.hostname in LOOPBACK


def _is_service(address: str) -> bool:
    """Whether an address has the name of a Service of the cluster."""
    return _SERVICE.fullmatch(urlsplit(address).hostname or "") is not None


def _words(value: object) -> object:
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


def _host_names(value: tuple[str, ...]) -> tuple[str, ...]:
    for name in value:
        if name == "*":
            continue
        if not name.removeprefix("*.") or set(name.removeprefix("*.")) & set("*/@ "):
            raise ValueError(f"{name!r} is not a host name: give names like mcp.example.com or *.example.com")
    return tuple(name.lower().rstrip(".") for name in value)


def _proxies(value: tuple[str, ...]) -> tuple[str, ...]:
    if value == ("private",):
        return value
    found = []
    for network in value:
        try:
            found.append(str(ip_network(network, strict=False)))
        except ValueError as error:
            raise ValueError(
                f"{network!r} is no address or range: give them like 10.0.0.5 or 10.0.0.0/8, or only private"
            ) from error
    return tuple(found)


def _origins(value: tuple[str, ...]) -> tuple[str, ...]:
    for origin in value:
        if not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?", origin):
            raise ValueError(
                f"{origin!r} is no origin: give origins like https://app.example.com, without a path"
            )
    return tuple(origin.lower() for origin in value)


EmbeddingType = Literal["Local", "None", "AzureOpenAI", "OpenAI"]
Port = Annotated[int, Field(ge=1, le=65_535)]
Dimensions = Annotated[int, Field(ge=1, le=16_384)]
BatchSize = Annotated[int, Field(ge=1, le=2_048)]
EncodingFormat = Literal["Float", "Base64"]
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]
PathPrefix = Annotated[str, Field(max_length=256, pattern=r"^/[-A-Za-z0-9._~/]*[-A-Za-z0-9._~]$")]
WebAddress = Annotated[str, AfterValidator(_web_address)]
SecureAddress = Annotated[str, AfterValidator(_secure_address)]


def default_index_dir() -> Path:
    """The index of the image if there is one, else one in the user's cache."""
    bundled = Path("/opt/flame-mcp/index")
    if bundled.exists():
        return bundled
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "flame-mcp" / "index"


class Settings(BaseSettings):
    """The settings of `flame-mcp serve`; docs/server.md describes each."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore")

    ca_file: Path | None = None  # every command reads it before anything else, see commands.certificates
    index_dir: Path = Field(default_factory=default_index_dir)
    host: str = "127.0.0.1"
    port: Port = 8_000
    metrics_port: Port | None = None
    embedding_type: EmbeddingType = "Local"
    azure_openai_endpoint: SecureAddress | None = None
    azure_openai_deployment: str | None = None
    azure_openai_api_version: str = "2024-10-21"
    azure_openai_dimensions: Dimensions | None = None
    azure_openai_batch_size: BatchSize | None = None
    azure_openai_encoding_format: EncodingFormat | None = None
    azure_openai_cloud: Literal["Public", "USGovernment", "China"] | None = None
    azure_openai_api_key_file: Path | None = None
    openai_base_url: WebAddress = "https://api.openai.com/v1"
    openai_model: str | None = None
    openai_dimensions: Dimensions | None = None
    openai_batch_size: BatchSize | None = None
    openai_encoding_format: EncodingFormat | None = None
    openai_api_key_file: Path | None = None
    vector_store_type: Literal["Embedded", "Qdrant"] = "Embedded"
    qdrant_url: WebAddress | None = None
    qdrant_collection: str | None = None
    qdrant_api_key_file: Path | None = None
    qdrant_ca_file: Path | None = None
    default_limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = 5
    max_tokens: Annotated[int, Field(ge=MIN_TOKENS, le=MAX_TOKENS)] = 4_000
    allowed_hosts: Annotated[Words, AfterValidator(_host_names)] = ()
    allowed_origins: Annotated[Words, AfterValidator(_origins)] = ()
    trusted_proxies: Annotated[Words, AfterValidator(_proxies)] = ()
    path_prefix: PathPrefix | None = None
    rate_limit_per_minute: Annotated[int, Field(ge=1, le=60_000)] | None = None
    rate_limit_burst: Annotated[int, Field(ge=1, le=10_000)] | None = None
    auth_type: Literal["None", "Bearer", "OIDC"] = "None"
    auth_token_file: Path | None = None
    auth_oidc_issuer: WebAddress | None = None
    auth_oidc_allow_http: bool = False
    auth_oidc_audience: str | None = None
    auth_oidc_required_scopes: Words = ()
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] = "json"
    tracing_endpoint: WebAddress | None = None
    page: bool = True
    shutdown_grace_seconds: Annotated[int, Field(ge=0, le=3_600)] = 25

    @model_validator(mode="before")
    @classmethod
    def _refuse_empty(cls, values: dict[str, object]) -> dict[str, object]:
        # An empty value is most often a variable that some tool failed to set.
        for name, value in values.items():
            if value == "":
                raise ValueError(f"{variable(name)} is empty: give it a value or leave it out")
        return values

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        if self.rate_limit_burst is not None and self.rate_limit_per_minute is None:
            raise ValueError(f"{variable('rate_limit_burst')} needs {variable('rate_limit_per_minute')}")
        _require(self, "embedding_type", _EMBEDDING_NEEDS)
        _require(self, "vector_store_type", {"Qdrant": ("qdrant_url", "qdrant_collection")})
        self._check_auth()
        if "*" in self.allowed_hosts and self.auth_type == "None":
            raise ValueError(
                f"{variable('allowed_hosts')} is *, which needs a token: without one, any web page could ask "
                f"under a name of its own; give names, or set {variable('auth_type')}"
            )
        return self

    def _check_auth(self) -> None:
        _require(self, "auth_type", _AUTH_NEEDS)
        # Somebody who sets a token or an issuer wants authentication: never serve without it then.
        for kind, names in _AUTH_NEEDS.items():
            for name in (*names, *_AUTH_OPTIONAL.get(kind, ())):
                if getattr(self, name) and kind != self.auth_type:
                    raise ValueError(
                        f"{variable(name)} is set, but {variable('auth_type')} is {self.auth_type}: "
                        f"set that to {kind}, or leave this out"
                    )
        issuer = self.auth_oidc_issuer
        if issuer and not _is_secure(issuer) and not (self.auth_oidc_allow_http and _is_service(issuer)):
            raise ValueError(
                f"{variable('auth_oidc_issuer')}: {_INSECURE}. {variable('auth_oidc_allow_http')} allows it "
                "for a Service of the cluster, as in http://name.namespace.svc"
            )


_AUTH_NEEDS = {"Bearer": ("auth_token_file",), "OIDC": ("auth_oidc_issuer", "auth_oidc_audience")}
_EMBEDDING_NEEDS = {
    "AzureOpenAI": ("azure_openai_endpoint", "azure_openai_deployment"),
    "OpenAI": ("openai_model",),
}
_AUTH_OPTIONAL = {"OIDC": ("auth_oidc_required_scopes", "auth_oidc_allow_http")}


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"{PREFIX}{name.upper()}"


def load_settings(**options: str) -> Settings:
    """The settings of this process. `options` of a command take precedence over variables.

    Raises:
        SettingsError: A value has the wrong type or is out of range, or a related setting is missing.
    """
    _refuse_other_case()
    _refuse_unknown_auth()
    try:
        return Settings(**options)  # type: ignore[arg-type]  # it parses them like variables
    except ValidationError as error:
        raise SettingsError("; ".join(_problem(problem) for problem in error.errors())) from error


def _refuse_other_case() -> None:
    """Refuses variables that are ours in another case: the library would let them replace the right ones."""
    for name in sorted(os.environ):
        if name.upper().startswith((PREFIX, "FASTMCP_")) and name != name.upper():
            raise SettingsError(
                f"{name} must be written {name.upper()}: variables of this server are in capital letters"
            )


def _refuse_unknown_auth() -> None:
    """Refuses unknown FLAME_MCP_AUTH_* variables: a misspelt one would leave the server unprotected."""
    for name in os.environ:
        if (
            name.startswith(variable("auth_"))
            and name.removeprefix(PREFIX).lower() not in Settings.model_fields
        ):
            known = ", ".join(variable(field) for field in Settings.model_fields if field.startswith("auth_"))
            raise SettingsError(f"{name} is not a setting of this server: give one of {known}")


def _require(settings: Settings, union: str, needs: dict[str, tuple[str, ...]]) -> None:
    kind = getattr(settings, union)
    for name in needs.get(kind, ()):
        if getattr(settings, name) is None:
            raise ValueError(f"{variable(union)} is {kind}, which needs {variable(name)}: set it")


def _problem(problem: ErrorDetails) -> str:
    message = str(problem["msg"]).removeprefix("Value error, ")
    if not problem["loc"]:
        return message
    return f"{variable(str(problem['loc'][0]))}: {message[:1].lower()}{message[1:]}, not {problem['input']!r}"
