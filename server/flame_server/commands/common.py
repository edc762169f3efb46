"""What the commands share: options, settings, errors as plain lines, and how results are printed."""

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

import click

from flame_server.commands.certificates import trust_also
from flame_server.errors import FlameMcpError, SettingsError

if TYPE_CHECKING:
    from flame_server.credentials import Credentials
    from flame_server.search.local import Searcher
    from flame_server.search.service import Answer
    from flame_server.settings import Settings

MAX_LINE = 4_000
"""How many characters a line of the log has at most, whatever it tells of."""

P = ParamSpec("P")
R = TypeVar("R")

index_option = click.option(
    "--index",
    "index",
    type=click.Path(path_type=Path),
    envvar="FLAME_MCP_INDEX_DIR",
    required=True,
    help="Folder of an index.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def plain_errors(function: Callable[P, R]) -> Callable[P, R]:
    """Turns errors that the user can fix into one line on standard error and an exit code."""

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            trust_also()
            return function(*args, **kwargs)
        except FlameMcpError as error:
            fail(str(error), 1)
        except SettingsError as error:
            fail(str(error), 2)

    return wrapper


def fail(message: str, code: int) -> NoReturn:
    """Ends the process with a line on standard error."""
    report(f"error: {message}")
    sys.exit(code)


def report(line: str) -> None:
    """Writes a line about progress to standard error: standard output is for results."""
    click.echo(one_line(line), err=True)


def tell(line: str) -> None:
    """Writes a line for people to standard output."""
    click.echo(one_line(line))


def one_line(text: str) -> str:
    """The text as one line of at most `MAX_LINE` characters that can be seen.

    Servers and docs have chosen the names in it. None may write a line of its own, or command a terminal.
    """
    seen = "".join(one if one.isprintable() else " " for one in text[: MAX_LINE + 1])
    return seen if len(seen) <= MAX_LINE else f"{seen[:MAX_LINE]}…"


def configured(**options: str) -> "tuple[Settings, Credentials]":
    """The settings and credentials of this process; options take precedence over variables.

    Raises:
        SettingsError: They cannot be used.
    """
    from flame_server.credentials import load_credentials  # noqa: PLC0415
    from flame_server.settings import load_settings  # noqa: PLC0415

    settings = load_settings(**options)
    return settings, load_credentials(settings)


@contextmanager
def opened_index(folder: Path) -> "Iterator[tuple[Searcher, Callable[..., Answer]]]":
    """An index, opened with the settings that a server would use, and a function that searches it."""
    settings, credentials = configured()
    from flame_server.embedding.choice import embedding_of  # noqa: PLC0415
    from flame_server.search.local import open_searcher  # noqa: PLC0415

    with asyncio.Runner() as runner:
        searcher = open_searcher(folder, embedding_of(settings, credentials))
        try:
            yield searcher, lambda *args, **kwargs: runner.run(searcher.answer(*args, **kwargs))
        finally:
            runner.run(searcher.close())


def print_answer(answer: dict[str, Any], *, as_json: bool) -> None:
    """Prints an answer of `search` or `ask`, for people or as JSON."""
    if as_json:
        click.echo(json.dumps(answer, ensure_ascii=False))
        return
    if answer.get("degraded"):
        click.echo("(matched by words only)\n")
    for number, result in enumerate(answer["results"], 1):
        click.echo(f"{number}. {' > '.join(result['breadcrumb'])}  [{result['score']:.2f}]")
        click.echo(f"   {result['url']}\n")
        click.echo("\n".join(f"   {line}" for line in result["content"].split("\n")) + "\n")
    if not answer["results"]:
        click.echo("nothing found")
