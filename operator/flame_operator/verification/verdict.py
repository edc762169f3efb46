"""What verification asks of a server and what it found. Pure: bounds here what a pod says."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from flame_operator.formats.text import plain
from flame_operator.resource.status import IndexInfo, ServerInfo

AuthType = Literal["None", "Bearer", "OIDC"]

MAX_TOOLS = 32
MAX_NAME = 64
MAX_TEXT = 128
MAX_EXCERPT = 200
MAX_COUNT = 2**31 - 1

_TOOL_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_REVISION = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Finding(StrEnum):
    """What a check found; the reasons of the condition Verified."""

    ANSWERING = "Answering"
    ANSWERING_AUTH_REQUIRED = "AnsweringAuthRequired"
    NOT_ANSWERING = "NotAnswering"
    TOO_FEW_RESULTS = "TooFewResults"


@dataclass(frozen=True, slots=True)
class Target:
    """Everything that a check depends on: a change of any of it asks for a new check.

    Attributes:
        url: The Service by its cluster IP, without a path, e.g. `http://10.0.0.7:80`.
        host: The `Host` header, e.g. `docs.team.svc`.
        auth: The spec's `auth.type`.
        query: The canary query.
        min_results: How many results the canary query has to find.
        interval: Seconds between checks.
        revision: Another text with each rollout of the pods.
    """

    url: str
    host: str
    auth: AuthType
    query: str
    min_results: int
    interval: float
    revision: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of a server from asking it; nothing in it is of the moment, so that equal means the same.

    Attributes:
        ok: Whether it answered as far as it was asked.
        limited: Whether authentication kept the canary query from being asked.
        reason: The condition's reason.
        message: The condition's message.
        server: None when it wasn't asked or didn't say.
        index: None when it didn't say.
    """

    ok: bool
    limited: bool
    reason: Finding
    message: str
    server: ServerInfo | None = None
    index: IndexInfo | None = None


def server_info(initialized: dict[str, Any], tools: object) -> ServerInfo:
    """What the results of `initialize` and the tools of `tools/list` tell."""
    about = initialized.get("serverInfo")
    about = about if isinstance(about, dict) else {}
    listed = tools if isinstance(tools, list) else []
    names = {_tool_name(tool) for tool in listed} - {""}
    return ServerInfo(
        name=plain(about.get("name"), MAX_NAME),
        version=plain(about.get("version"), MAX_NAME),
        protocol_version=protocol_version(initialized),
        tools=tuple(sorted(names)[:MAX_TOOLS]),
    )


def protocol_version(initialized: dict[str, Any]) -> str:
    """The revision of MCP that the server chose, or "" when it names none."""
    version = initialized.get("protocolVersion")
    return version if isinstance(version, str) and _REVISION.fullmatch(version) else ""


def index_info(readiness: object) -> IndexInfo | None:
    """What the answer of `/health/ready` tells of the index."""
    index = readiness.get("index") if isinstance(readiness, dict) else None
    if not isinstance(index, dict):
        return None
    return IndexInfo(
        # The embedded index has no collection; its generation is what takes another's place there.
        collection=plain(index.get("collection") or index.get("generation"), MAX_TEXT),
        documents=_count(index.get("documents")),
        chunks=_count(index.get("chunks")),
        source_revision=plain(index.get("revision"), MAX_TEXT),
        embedding=plain(index.get("embedding"), MAX_TEXT),
    )


def _tool_name(tool: object) -> str:
    name = tool.get("name") if isinstance(tool, dict) else None
    return name if isinstance(name, str) and _TOOL_NAME.fullmatch(name) else ""


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value <= MAX_COUNT else None
