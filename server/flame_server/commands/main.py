"""The command group `flame-mcp`: registers the commands, which are in the modules beside it."""

import click

from flame_server.commands.ask import ask, healthcheck
from flame_server.commands.check import check
from flame_server.commands.evaluate import evaluate
from flame_server.commands.index.group import index
from flame_server.commands.search import search
from flame_server.commands.serve import serve


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="flame-mcp-server")
def main() -> None:
    """Answers questions about the Flame game engine from its docs, over the Model Context Protocol."""


for _command in (serve, search, evaluate, ask, check, healthcheck, index):
    main.add_command(_command)
