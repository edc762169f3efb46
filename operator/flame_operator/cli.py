"""The command line: `flame-operator run` and `flame-operator render`."""

import asyncio
import base64
import gc
import sys
from typing import IO, Any, NoReturn

import click
import structlog
import yaml
from pydantic import ValidationError

from flame_operator.desired import Defaults, Facts, desired
from flame_operator.desired.ingestion import Run, inputs, job
from flame_operator.desired.naming import QDRANT_READ_KEY, QDRANT_WRITE_KEY
from flame_operator.desired.unions import loads
from flame_operator.errors import Blind, LostLease, UserError
from flame_operator.model import SERVER, Manifest, parse_server
from flame_operator.settings import Settings

# `render` has no cluster that would give the resource its uid.
NO_UID = "00000000-0000-0000-0000-000000000000"
# Nor is there a token that has been generated.
_GENERATED = base64.b64encode(b"generated-by-the-operator").decode()
WITHOUT_CLUSTER = Facts(
    token=_GENERATED, qdrant_keys={QDRANT_WRITE_KEY: _GENERATED, QDRANT_READ_KEY: _GENERATED}
)


class _Plain(yaml.SafeDumper):
    """Writes what occurs twice twice: references are for programs to read."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - never, whatever it is
        return True


def _fail(message: str) -> NoReturn:
    click.echo(f"error: {' '.join(message.split())}", err=True)
    sys.exit(1)


def _settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        _fail(
            "; ".join(
                f"FLAME_OPERATOR_{'_'.join(map(str, detail['loc'])).upper()}: {detail['msg']}"
                for detail in error.errors(include_url=False)
            )
        )


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="flame-mcp-operator")
def main() -> None:
    """Run Flame MCP search servers on Kubernetes."""


@main.command()
@click.option(
    "--namespace", "-n", "namespaces", multiple=True, help="Serve only this namespace; may be repeated."
)
@click.option(
    "--liveness-port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="Answer GET /healthz and /readyz on this port; 0 switches it off.",
)
def run(namespaces: tuple[str, ...], liveness_port: int) -> None:
    """Operate the cluster that this process runs in, or that KUBECONFIG names.

    Settings are environment variables FLAME_OPERATOR_*, for example FLAME_OPERATOR_SERVER_IMAGE.
    """
    # `render` needs neither kopf nor the API client, which take half a second to load.
    from flame_operator import app, logs  # noqa: PLC0415

    settings = _settings()
    logs.configure_logging(settings)
    # What was imported stays: the garbage collector needn't look at it again and again.
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    try:
        asyncio.run(app.run(settings, namespaces=tuple(sorted(set(namespaces))), liveness_port=liveness_port))
    except UserError as error:
        _fail(str(error))
    except (LostLease, Blind) as error:
        structlog.get_logger(__name__).error("the operator ends, to start afresh", reason=str(error))
        sys.exit(1)
    except Exception:  # noqa: BLE001 - the last stop before the process ends: it must be in the log
        structlog.get_logger(__name__).exception("the operator ends; its next start repeats nothing")
        sys.exit(1)


@main.command()
@click.option(
    "--filename", "-f", "source", type=click.File("rb"), required=True, help="A YAML file; - reads stdin."
)
@click.option("--server-image", "-I", help="The image of servers that name none.  [default: the operator's]")
def render(source: IO[bytes], server_image: str | None) -> None:
    """Print the children of the FlameMCPServers in a file, as YAML, without a cluster.

    Printed as if all kinds were switched on. What only a cluster can give has a placeholder: the owner's uid
    is all zeros, and generated tokens and keys say so. Of Jobs the first load is printed.
    """
    settings = _settings()
    defaults = Defaults(
        image=server_image or settings.server_image,
        qdrant_image=settings.qdrant_image,
        image_pull_secrets=settings.image_pull_secrets,
        http_routes=True,
        service_monitors=True,
    )
    try:
        children = [child for document in _documents(source) for child in _children(document, defaults)]
    except UserError as error:
        _fail(f"{getattr(source, 'name', '-')}: {error}")
    click.echo(yaml.dump_all(children, Dumper=_Plain, sort_keys=False, explicit_start=True), nl=False)


def _documents(source: IO[bytes]) -> list[Any]:
    try:
        documents = [document for document in yaml.safe_load_all(source.read()) if document is not None]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"not valid YAML: {error}") from error
    if not documents:
        raise UserError("holds no FlameMCPServer")
    return documents


def _children(document: object, defaults: Defaults) -> tuple[Manifest, ...]:
    if not isinstance(document, dict):
        raise UserError(f"a document is no Kubernetes object but {type(document).__name__}")
    found = (document.get("apiVersion"), document.get("kind"))
    if found != (SERVER.api_version, SERVER.kind):
        raise UserError(f"expected {SERVER.kind} of {SERVER.api_version}, found {found[1]} of {found[0]}")
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        raise UserError("metadata.name is missing")
    if not isinstance(metadata.get("namespace", ""), str):
        raise UserError("metadata.namespace is no text; put it in quotes")
    placed = {**metadata, "namespace": metadata.get("namespace") or "default", "uid": NO_UID}
    server = parse_server({**document, "metadata": placed}, forbid_unknown=True)
    children = desired(server, defaults, WITHOUT_CLUSTER)
    if not loads(server):
        return children
    return (*children, job(server, defaults, Run("ingest", "spec", inputs(server, defaults))))
