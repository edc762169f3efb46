"""Implements `flame-operator render`, which prints the children of resources without a cluster."""

import base64
from dataclasses import replace
from typing import IO, Any

import click
import yaml

from flame_operator.commands.common import configured, fail
from flame_operator.defaults import defaults_of
from flame_operator.desired.children import desired_children
from flame_operator.desired.ingestion_job import inputs, job
from flame_operator.desired.inputs import Defaults, Facts
from flame_operator.desired.installation import with_defaults
from flame_operator.desired.naming import QDRANT_READ_KEY, QDRANT_WRITE_KEY
from flame_operator.desired.run import Run
from flame_operator.errors import UserError
from flame_operator.resource.kinds import SERVER, Manifest
from flame_operator.resource.server import parse_server
from flame_operator.resource.unions import loads_docs

# A placeholder: without a cluster, the resource has no uid.
NO_UID = "00000000-0000-0000-0000-000000000000"
# A placeholder: without a cluster, no token and no key has been generated.
_GENERATED = base64.b64encode(b"generated-by-the-operator").decode()
WITHOUT_CLUSTER = Facts(
    token=_GENERATED, qdrant_keys={QDRANT_WRITE_KEY: _GENERATED, QDRANT_READ_KEY: _GENERATED}
)


class _Plain(yaml.SafeDumper):
    """A YAML dumper that writes repeated values in full: anchors and aliases are hard to read for people."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - holds for all data
        return True


@click.command()
@click.option(
    "--filename", "-f", "source", type=click.File("rb"), required=True, help="A YAML file; - for stdin."
)
@click.option(
    "--server-image",
    "-I",
    help="The image for servers whose spec names none.  [default: the operator's default image]",
)
def render(source: IO[bytes], server_image: str | None) -> None:
    """Print the children of the FlameMCPServers in a file as YAML, without a cluster.

    The output is what the operator makes when all optional kinds are enabled. Values that only a cluster can
    provide are placeholders: the owner's uid is all zeros, and generated tokens and keys say that they are
    generated. Of the Jobs, only the first load is printed.
    """
    settings = configured()
    defaults = replace(defaults_of(settings), http_routes=True, service_monitors=True)
    if server_image:
        defaults = replace(defaults, image=server_image)
    try:
        children = [child for document in _documents(source) for child in _children(document, defaults)]
    except UserError as error:
        fail(f"{getattr(source, 'name', '-')}: {error}")
    click.echo(yaml.dump_all(children, Dumper=_Plain, sort_keys=False, explicit_start=True), nl=False)


def _documents(source: IO[bytes]) -> list[Any]:
    try:
        documents = [document for document in yaml.safe_load_all(source.read()) if document is not None]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"not valid YAML: {error}") from error
    if not documents:
        raise UserError("contains no FlameMCPServer")
    return documents


def _children(document: object, defaults: Defaults) -> tuple[Manifest, ...]:
    if not isinstance(document, dict):
        raise UserError(f"a document isn't a Kubernetes object but a {type(document).__name__}")
    found = (document.get("apiVersion"), document.get("kind"))
    if found != (SERVER.api_version, SERVER.kind):
        raise UserError(f"expected {SERVER.kind} of {SERVER.api_version}, found {found[1]} of {found[0]}")
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        raise UserError("metadata.name is missing")
    if not isinstance(metadata.get("namespace", ""), str):
        raise UserError("metadata.namespace isn't a string; put it in quotes")
    placed = {**metadata, "namespace": metadata.get("namespace") or "default", "uid": NO_UID}
    server = with_defaults(parse_server({**document, "metadata": placed}, forbid_unknown=True), defaults)
    children = desired_children(server, defaults, WITHOUT_CLUSTER)
    if not loads_docs(server):
        return children
    return (*children, job(server, defaults, Run("ingest", "spec", inputs(server, defaults))))
