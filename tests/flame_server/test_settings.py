import os
from pathlib import Path

import pytest

from flame_server.credentials import load_credentials
from flame_server.errors import SettingsError
from flame_server.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("FLAME_MCP_")]:
        monkeypatch.delenv(name)


OIDC = {"AUTH_TYPE": "OIDC", "AUTH_OIDC_AUDIENCE": "flame"}


def load(monkeypatch: pytest.MonkeyPatch, **values: str) -> Settings:
    for name, value in values.items():
        monkeypatch.setenv(f"FLAME_MCP_{name}", value)
    return load_settings()


def test_lists_are_words(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(
        monkeypatch,
        ALLOWED_HOSTS="Docs.example.com,*.svc.cluster.local , flame.",
        TRUSTED_PROXIES="10.1.2.3/8 fd00::1",
        AUTH_TYPE="OIDC",
        AUTH_OIDC_ISSUER="https://issuer.example.com/tenant",
        AUTH_OIDC_AUDIENCE="flame",
        AUTH_OIDC_REQUIRED_SCOPES="docs.read docs.search",
    )
    assert settings.allowed_hosts == ("docs.example.com", "*.svc.cluster.local", "flame")
    assert settings.trusted_proxies == ("10.0.0.0/8", "fd00::1/128")
    assert settings.auth_oidc_required_scopes == ("docs.read", "docs.search")


@pytest.mark.parametrize("host", ["dex.auth.svc", "dex.auth.svc.corp.example:5556"])
def test_an_issuer_in_the_cluster_may_be_allowed_without_tls(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    issuer = f"http://{host}/dex"
    settings = load(monkeypatch, **OIDC, AUTH_OIDC_ISSUER=issuer, AUTH_OIDC_ALLOW_HTTP="true")
    assert settings.auth_oidc_issuer == issuer


def test_by_default_everything_optional_is_off() -> None:
    settings = load_settings()
    assert (settings.auth_type, settings.metrics_port, settings.rate_limit_per_minute) == ("None", None, None)
    assert load_credentials(settings).auth_token is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"AUTH_TYPE": "bearer"}, "FLAME_MCP_AUTH_TYPE: input should be 'None', 'Bearer' or 'OIDC'"),
        ({"AUTH_TYPE": ""}, "FLAME_MCP_AUTH_TYPE is empty"),
        ({"AUTH_TYPE": "Bearer"}, "FLAME_MCP_AUTH_TYPE is Bearer, which needs FLAME_MCP_AUTH_TOKEN_FILE"),
        ({"AUTH_TOKEN_FILE": "/t"}, "FLAME_MCP_AUTH_TOKEN_FILE is set, but FLAME_MCP_AUTH_TYPE is None"),
        ({"AUTH_OIDC_REQUIRED_SCOPES": "a"}, "_REQUIRED_SCOPES is set, but FLAME_MCP_AUTH_TYPE is None"),
        ({"AUTH_TOKEN": "s3cret"}, "FLAME_MCP_AUTH_TOKEN is not a setting of this server"),
        ({"auth_typ": "Bearer"}, "FLAME_MCP_auth_typ must be written FLAME_MCP_AUTH_TYP"),
        (
            {"AUTH_TYPE": "OIDC", "AUTH_OIDC_AUDIENCE": "a"},
            "FLAME_MCP_AUTH_TYPE is OIDC, which needs FLAME_MCP_AUTH_OIDC_ISSUER",
        ),
        ({**OIDC, "AUTH_OIDC_ISSUER": "http://issuer.example.com"}, "starts with https://"),
        (
            {**OIDC, "AUTH_OIDC_ISSUER": "http://dex.auth.svc"},
            "FLAME_MCP_AUTH_OIDC_ALLOW_HTTP allows it for a Service",
        ),
        (
            {**OIDC, "AUTH_OIDC_ISSUER": "http://login.example.com", "AUTH_OIDC_ALLOW_HTTP": "true"},
            "starts with https://",
        ),
        ({"AUTH_OIDC_ALLOW_HTTP": "true"}, "_ALLOW_HTTP is set, but FLAME_MCP_AUTH_TYPE is None"),
        ({"AUTH_TYPE": "OIDC", "AUTH_OIDC_ISSUER": "issuer"}, "give an address like https://"),
        ({"ALLOWED_HOSTS": "http://a.example.com"}, "is not a host name: give names like"),
        ({"ALLOWED_HOSTS": "*"}, "FLAME_MCP_ALLOWED_HOSTS is *, which needs a token"),
        ({"ALLOWED_ORIGINS": "https://a.example.com/"}, "is no origin: give origins like https://"),
        ({"ALLOWED_ORIGINS": "*"}, "'*' is no origin"),
        ({"TRUSTED_PROXIES": "10.0.0.5/80"}, "'10.0.0.5/80' is no address or range"),
        ({"TRUSTED_PROXIES": "private 10.0.0.0/8"}, "'private' is no address or range"),
        ({"PATH_PREFIX": "/flame/"}, "FLAME_MCP_PATH_PREFIX: string should match pattern"),
        ({"RATE_LIMIT_BURST": "5"}, "_BURST needs FLAME_MCP_RATE_LIMIT_PER_MINUTE"),
        ({"RATE_LIMIT_PER_MINUTE": "0"}, "FLAME_MCP_RATE_LIMIT_PER_MINUTE: input should be greater"),
        ({"VECTOR_STORE_TYPE": "Qdrant"}, "which needs FLAME_MCP_QDRANT_URL"),
        (
            {"VECTOR_STORE_TYPE": "Qdrant", "QDRANT_URL": "http://q:6333"},
            "needs FLAME_MCP_QDRANT_COLLECTION",
        ),
        ({"QDRANT_URL": "qdrant:6333"}, "FLAME_MCP_QDRANT_URL: give an address like https://"),
        ({"EMBEDDING_TYPE": "AzureOpenAI"}, "needs FLAME_MCP_AZURE_OPENAI_ENDPOINT"),
        ({"AZURE_OPENAI_ENDPOINT": "http://azure.example.com"}, "starts with https://"),
        ({"OPENAI_DIMENSIONS": "0"}, "FLAME_MCP_OPENAI_DIMENSIONS: input should be greater"),
        ({"METRICS_PORT": "70000"}, "FLAME_MCP_METRICS_PORT: input should be less"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str], message: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        load(monkeypatch, **values)
    assert message in str(raised.value)
    assert "s3cret" not in str(raised.value)


def bearer(path: Path) -> Settings:
    return Settings(auth_type="Bearer", auth_token_file=path)


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_token_is_read_without_its_line_end_and_kept_out_of_sight(tmp_path: Path, end: bytes) -> None:
    (tmp_path / "token").write_bytes(b"s3cret" + end)
    credentials = load_credentials(bearer(tmp_path / "token"))
    assert credentials.auth_token == "s3cret"  # noqa: S105
    assert "s3cret" not in repr(credentials)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "which cannot be read: No such file"),
        (b"", "which is empty: put the secret there"),
        (b" \n", "which is empty"),
        (b"two words", "must be one line of printable ASCII"),
        ("pässword".encode(), "must be one line of printable ASCII"),
        (b"x" * 65_537, "must be one line of printable ASCII"),
    ],
)
def test_a_file_without_a_secret_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError) as raised:
        load_credentials(bearer(path))
    assert f"FLAME_MCP_AUTH_TOKEN_FILE names {path}, {message}"[:60] in str(raised.value)
    assert message in str(raised.value)
    assert "words" not in str(raised.value)
