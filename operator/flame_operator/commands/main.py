"""Defines `flame-operator`, the group of all commands."""

import click

from flame_operator.commands.render import render
from flame_operator.commands.run import run


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="flame-mcp-operator")
def main() -> None:
    """Run Flame MCP search servers on Kubernetes."""


main.add_command(run)
main.add_command(render)
