"""`python -m benchmarks.server`: what the search server costs, beside what its framework can do."""

import sys
from pathlib import Path

import click

from benchmarks.server.phases import Options, flame_source, run
from benchmarks.server.report import as_json, as_text, checks
from tests.harness.errors import HarnessError

_QUICK_DOCS = "doc/flame/inputs"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--quick", is_flag=True, help="A few docs and a second each: to see that it works.")
@click.option(
    "--seconds", type=click.FloatRange(0.2, 600), default=10, show_default=True, help="Of each load."
)
@click.option(
    "--index",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A built index of the docs, with embeddings; then no build is timed.",
)
@click.option(
    "--json", "target", type=click.Path(path_type=Path, dir_okay=False), help="A file for programs."
)
def main(*, quick: bool, seconds: float, index: Path | None, target: Path | None) -> None:
    """Measure the search server; exit code 1 when a target is missed.

    Nothing else should run on the machine meanwhile.
    """
    options = Options(flame_source(), seconds, index=index)
    if quick:
        options = Options(flame_source(_QUICK_DOCS), seconds=0.5, starts=1, steps=(0.5,), index=index)
    try:
        result = run(options)
    except HarnessError as error:
        raise click.ClickException(str(error)) from error
    if target:
        target.write_text(as_json(result))
    click.echo(f"\n{as_text(result)}")
    sys.exit(0 if all(check.passed for check in checks(result)) else 1)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.server")
