"""`flame-mcp check`: tries every connection that the settings of `serve` ask for."""

import json
import sys

import click

from flame_server.commands.common import configured, json_option, plain_errors


@click.command()
@json_option
@plain_errors
def check(as_json: bool) -> None:
    """Try every connection with the settings that serve would use, and say how to fix failures."""
    settings, credentials = configured()
    from flame_server.diagnostics.connections import as_table, run_checks  # noqa: PLC0415
    from flame_server.logs import configure_logging  # noqa: PLC0415

    # The table reports each failure once; logs would repeat it.
    configure_logging("error", "text")
    steps = run_checks(settings, credentials)
    click.echo(json.dumps([step.as_dict() for step in steps]) if as_json else as_table(steps))
    if any(step.status == "failed" for step in steps):
        sys.exit(1)
