"""The command group `flame-mcp index`: registers the commands, which are in the modules beside it."""

import click

from flame_server.commands.index.build import build, fetch
from flame_server.commands.index.publish import publish, replicate, rollback
from flame_server.commands.index.snapshots import restore, snapshot, snapshots
from flame_server.commands.index.verify import verify


@click.group()
def index() -> None:
    """Build, check and publish an index.

    Exit codes: 0 done, 1 and 2 something has to be changed, 3 the new index is held back, 75 try again later,
    70 a bug. With FLAME_MCP_RESULT_FILE the result is written there as JSON.
    """


for _command in (fetch, build, publish, rollback, replicate, verify, snapshot, snapshots, restore):
    index.add_command(_command)
