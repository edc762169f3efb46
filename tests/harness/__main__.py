"""Command line of the test harness: `python -m tests.harness --help`."""

import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from tests.harness import cluster as clusters
from tests.harness import tools as builds
from tests.harness.console import say
from tests.harness.control_plane import ControlPlane
from tests.harness.errors import HarnessError
from tests.harness.proc import environment

_PASSTHROUGH = {"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": []}


class _Group(click.Group):
    """Shows what went wrong in words, with exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own signature
        try:
            return super().invoke(ctx)
        except HarnessError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(1)
        except KeyboardInterrupt:
            click.echo("error: interrupted; run the same command again to go on", err=True)
            ctx.exit(130)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Clusters and tools for tests and the demo.

    FLAME_CLUSTER=kind|binaries|external forces the kind of cluster, KUBECONFIG names one of your own,
    FLAME_CACHE and FLAME_STATE say where things are kept.
    """


@main.command()
def up() -> None:
    """Start the cluster, or repair it; does nothing when all is well."""
    cluster = clusters.up()
    say(f"Cluster ({cluster.kind}) is up: export KUBECONFIG={cluster.kubeconfig}")


@main.command()
def down() -> None:
    """Remove the cluster and the harness's own Docker engine; built tools and images stay in the cache."""
    say("Removed." if clusters.down() else "Nothing to remove.")


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(as_json: bool) -> None:
    """Show what runs; exit code 0 when the cluster is whole, else 1."""
    found = clusters.status()
    if as_json:
        click.echo(json.dumps({**asdict(found), "healthy": found.healthy}, default=str, indent=2))
    else:
        click.echo(f"cluster     {found.kind or 'none'}")
        click.echo(f"healthy     {'yes' if found.healthy else 'no: ' + '; '.join(found.problems)}")
        click.echo(f"version     {found.version or '-'}")
        click.echo(f"node        {found.node or '-'}")
        click.echo(f"kubeconfig  {found.kubeconfig or '-'}")
        click.echo(f"engine      {found.engine}")
    sys.exit(0 if found.healthy else 1)


@main.command()
def tools() -> None:
    """Build every tool that the cluster and the tests need (about 25 min the first time on 2 cores)."""
    for path in builds.ensure(*builds.CLUSTER, *builds.CHART_TOOLS).values():
        click.echo(path)


def _passthrough(program: str) -> Callable[[tuple[str, ...]], None]:
    def command(args: tuple[str, ...]) -> None:
        cluster = clusters.current()
        argv = cluster.command(program, *args)
        os.execve(argv[0], argv, environment(cluster.environment()))  # noqa: S606 - so that signals reach it

    return command


for _program in ("kubectl", "helm"):
    _argument = click.argument("args", nargs=-1, type=click.UNPROCESSED)
    _help = f"Run {_program} against the cluster; everything after `--` is its own."
    main.command(_program, context_settings=_PASSTHROUGH, help=_help)(_argument(_passthrough(_program)))


@main.command("control-plane")
@click.option(
    "--audit-log", type=click.Path(path_type=Path, dir_okay=False), help="Write the API server's audit log."
)
def control_plane(audit_log: Path | None) -> None:
    """Run API server, etcd and controllers in the foreground, without a node, until Ctrl-C."""
    with (
        tempfile.TemporaryDirectory(prefix="flame-mcp-") as folder,
        ControlPlane.start(Path(folder), audit_log=audit_log) as plane,
    ):
        say(f"Ready until Ctrl-C: export KUBECONFIG={plane.kubeconfig}")
        endings = {signal.SIGINT, signal.SIGTERM}
        signal.pthread_sigmask(signal.SIG_BLOCK, endings)
        signal.sigwait(endings)


if __name__ == "__main__":
    main(prog_name="python -m tests.harness")
