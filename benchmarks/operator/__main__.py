"""`python -m benchmarks.operator`: what the operator costs, beside what the API server can take."""

import json
import sys
from pathlib import Path

import click

from benchmarks.operator import profile as profiles
from benchmarks.operator.phases import Options, run
from benchmarks.operator.report import as_json, as_text, checks
from tests.harness.errors import HarnessError


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--resources", type=click.IntRange(1, 20000), default=500, show_default=True)
@click.option(
    "--children",
    type=click.Choice(["default", "fewest"]),
    default="default",
    show_default=True,
    help="Of an empty spec, or of one in which everything that can be is switched off.",
)
@click.option("--idle-seconds", type=click.FloatRange(0, 3600), default=20, show_default=True)
@click.option(
    "--services", type=click.IntRange(1), default=100, show_default=True, help="How many to delete."
)
@click.option(
    "--json", "target", type=click.Path(path_type=Path, dir_okay=False), help="A file for programs."
)
@click.option(
    "--profile",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Show where CPU time goes; a file for stacks.",
)
def main(  # noqa: PLR0913 - one argument an option
    *,
    resources: int,
    children: str,
    idle_seconds: float,
    services: int,
    target: Path | None,
    profile: Path | None,
) -> None:
    """Measure the operator on a control plane of its own; exit code 1 when a target is missed.

    Nothing else should run on the machine meanwhile.
    """
    options = Options(
        resources=resources,
        children="fewest" if children == "fewest" else "default",
        idle_seconds=idle_seconds,
        deleted_services=min(services, resources),
        profile=profile.absolute() if profile else None,
    )
    try:
        result = run(options)
    except HarnessError as error:
        raise click.ClickException(str(error)) from error
    if target:
        target.write_text(as_json(result))
    click.echo(f"\n{as_text(result)}")
    if profile:
        stacks = json.loads(profile.read_text())
        click.echo(f"\n{profiles.as_text(stacks, 1000 * result.create.cpu_seconds / resources)}")
    sys.exit(0 if all(check.passed for check in checks(result)) else 1)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.operator")
