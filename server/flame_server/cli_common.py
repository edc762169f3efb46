"""What the modules of the command line share."""

import sys
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, NoReturn, ParamSpec, TypeVar

import click

from flame_server.errors import FlameMcpError, SettingsError

if TYPE_CHECKING:
    from flame_server.credentials import Credentials
    from flame_server.embedding.identity import Embedder
    from flame_server.qdrant.connection import QdrantTarget
    from flame_server.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")


def plain_errors(function: Callable[P, R]) -> Callable[P, R]:
    """Turns what the user can act on into one line on standard error and an exit code."""

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except FlameMcpError as error:
            fail(str(error), 1)
        except SettingsError as error:
            fail(str(error), 2)

    return wrapper


def fail(message: str, code: int) -> NoReturn:
    """Ends the process with a line on standard error."""
    click.echo(f"error: {message}", err=True)
    sys.exit(code)


def report(line: str) -> None:
    """Progress goes to standard error: standard output is for results."""
    click.echo(line, err=True)


def configured(**options: str) -> "tuple[Settings, Credentials]":
    """The settings and credentials of this process; options go first.

    Raises:
        SettingsError: They cannot be used.
    """
    from flame_server.credentials import load_credentials  # noqa: PLC0415
    from flame_server.settings import load_settings  # noqa: PLC0415

    settings = load_settings(**options)
    return settings, load_credentials(settings)


def target_of(url: str, collection: str) -> "QdrantTarget":
    """A Qdrant server and an alias there, with the key and the authorities of the settings."""
    from flame_server.opening import qdrant_target  # noqa: PLC0415

    options = {"vector_store_type": "Qdrant", "qdrant_url": url, "qdrant_collection": collection}
    # Nothing is embedded here, so nothing that embeds has to be set.
    return qdrant_target(*configured(**options, embedding_type="None"))


def service_embedder(name: str) -> "Embedder":
    """What embeds documents with a service, which the option names, whatever the variable says."""
    settings, credentials = configured(embedding_type="AzureOpenAI" if name == "azure-openai" else "OpenAI")
    from flame_server.embedding.choice import service_model  # noqa: PLC0415
    from flame_server.embedding.documents import DocumentEmbedder  # noqa: PLC0415

    return DocumentEmbedder(service_model(settings, credentials), report)
