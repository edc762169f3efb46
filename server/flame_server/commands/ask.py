"""The commands that talk to a running server: `flame-mcp ask` and `flame-mcp healthcheck`."""

from typing import TextIO

import click

from flame_server.commands.common import json_option, plain_errors, print_answer

_DEFAULT_PORT = 8_000


@click.command()
@click.option("--url", required=True, help="Address of the server, e.g. http://localhost:8000/mcp")
@click.option("--limit", type=click.IntRange(1, 20), help="Passages (default: the server's).")
@click.option("--token-file", type=click.File(), help="File with the token, for a server that needs one.")
@click.option("--wait", type=click.IntRange(0), default=0, help="Seconds to keep trying without an answer.")
@json_option
@click.argument("question")
@plain_errors
def ask(  # noqa: PLR0913, PLR0917 - its options
    url: str, limit: int | None, token_file: TextIO | None, wait: int, as_json: bool, question: str
) -> None:
    """Ask a running server as an MCP client."""
    from flame_server.diagnostics.client import ask as ask_server  # noqa: PLC0415

    token = token_file.read().strip() if token_file else None
    print_answer(ask_server(url, question, limit, token, wait=wait), as_json=as_json)


@click.command()
@click.option("--port", type=click.IntRange(1, 65_535), envvar="FLAME_MCP_PORT", default=_DEFAULT_PORT)
@plain_errors
def healthcheck(port: int) -> None:
    """Exit with 0 when the server on this machine is ready (for a container's HEALTHCHECK)."""
    from flame_server.diagnostics.client import check_health  # noqa: PLC0415

    check_health(port)
