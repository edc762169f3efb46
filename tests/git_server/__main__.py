"""In a pod: `serve` the docs, and change them from outside by `kubectl exec`."""

from pathlib import Path

import click

from tests.git_server import repository
from tests.git_server.served import server


@click.group()
@click.option("--folder", type=click.Path(path_type=Path), default=Path("/repository/flame"))
@click.pass_context
def main(context: click.Context, folder: Path) -> None:
    """A git repository of docs."""
    context.obj = folder


@main.command()
@click.option("--docs", type=click.Path(path_type=Path), required=True)
@click.option("--certificate", type=click.Path(path_type=Path), required=True)
@click.option("--key", type=click.Path(path_type=Path), required=True)
@click.option("--host", default="0.0.0.0")  # noqa: S104 - in a pod
@click.option("--port", default=8443)
@click.option("--password", envvar="GIT_PASSWORD", help="What basic authentication asks for.")
@click.pass_obj
def serve(  # noqa: PLR0917 - one argument an option, passed by name
    folder: Path, docs: Path, certificate: Path, key: Path, host: str, port: int, password: str | None
) -> None:
    """Serve a repository made of the docs as /flame.git."""
    repository.create(docs, folder)
    click.echo("serving")
    server(folder, host, port, certificate, key, password).serve_forever()


@main.command()
@click.argument("page")
@click.argument("text")
@click.pass_obj
def change(folder: Path, page: str, text: str) -> None:
    """Commit another text of a page."""
    click.echo(repository.change(folder, page, text))


@main.command()
@click.pass_obj
def delete_all_pages(folder: Path) -> None:
    """Commit the deletion of all pages."""
    click.echo(repository.delete_all_pages(folder))


@main.command()
@click.pass_obj
def revert(folder: Path) -> None:
    """Go back to the commit before."""
    click.echo(repository.revert(folder))


if __name__ == "__main__":
    main()
