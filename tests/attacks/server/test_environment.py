"""Attack 12: a variable in another case replaces the operator's own."""

import pytest

from flame_server.errors import SettingsError
from flame_server.settings import load_settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("flame_mcp_auth_token_file", "/proc/sys/kernel/ostype"),
        ("Flame_Mcp_Auth_Type", "None"),
        ("FLAME_MCP_auth_token_file", "/proc/sys/kernel/ostype"),
        ("flame_mcp_port", "9"),
        ("fastmcp_log_level", "DEBUG"),
        ("FastMCP_x", "y"),
    ],
)
def test_a_server_does_not_start_on_it(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Attack 12: with `flame_mcp_auth_token_file` the word "Linux" was the token."""
    monkeypatch.setenv("FLAME_MCP_AUTH_TYPE", "Bearer")
    monkeypatch.setenv("FLAME_MCP_AUTH_TOKEN_FILE", "/run/token")
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"{name} must be written {name.upper()}"):
        load_settings()
