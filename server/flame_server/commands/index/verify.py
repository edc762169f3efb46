"""`flame-mcp index verify`: checks an index in a folder."""

import json
from pathlib import Path

import click

from flame_server.commands.common import index_option, json_option, plain_errors


@click.command()
@index_option
@json_option
@plain_errors
def verify(index: Path, as_json: bool) -> None:
    """Check that an index is complete, undamaged and searchable."""
    from flame_server.index.verify import verify_index  # noqa: PLC0415

    summary = verify_index(index)
    if as_json:
        click.echo(json.dumps(summary))
        return
    for key, value in summary.items():
        click.echo(f"{key:<12}{value}")
