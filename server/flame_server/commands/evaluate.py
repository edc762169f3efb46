"""`flame-mcp evaluate`: measures the quality of an index with questions whose answers are known."""

import json
from pathlib import Path

import click

from flame_server.commands.common import index_option, json_option, opened_index, plain_errors


@click.command()
@index_option
@click.option(
    "--queries", type=click.Path(path_type=Path), required=True, help="JSON lines: query, gold, kind."
)
@json_option
@plain_errors
def evaluate(index: Path, queries: Path, as_json: bool) -> None:
    """Measure an index with questions whose answers are known."""
    from flame_server.search import evaluate as evaluation  # noqa: PLC0415

    questions = evaluation.read_questions(queries)
    with opened_index(index) as (_, ask_index):
        report = evaluation.evaluate(ask_index, questions)
    click.echo(json.dumps(report.as_dict()) if as_json else evaluation.as_table(report))
