"""Holds what a check asks of a server and what it finds. Pure; bounds everything that a pod answers."""

import re
from dataclasses import dataclass, field
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
    """The result of a check; the reason of the condition Verified."""

    ANSWERING = "Answering"
    ANSWERING_AUTH_REQUIRED = "AnsweringAuthRequired"
    NOT_ANSWERING = "NotAnswering"
    TOO_FEW_RESULTS = "TooFewResults"


class Failure(Exception):  # noqa: N818 - what a check found, not an error of ours
    """The server doesn't answer as it should; the text tells why, and is the same for the same cause.

    Attributes:
        overrun: Whether the server sent more than a check takes.
    """

    def __init__(self, text: str, *, overrun: bool = False) -> None:
        super().__init__(text)
        self.overrun = overrun


@dataclass(frozen=True, slots=True)
class Target:
    """Everything that a check depends on; a change of any of it triggers a new check.

    Attributes:
        url: The Service by its cluster IP, without a path, e.g. `http://10.0.0.7:80`.
        host: The `Host` header, e.g. `docs.team.svc`.
        auth: The spec's `auth.type`.
        query: The canary query.
        min_results: How many results the canary query has to find.
        interval: Seconds between checks.
        revision: A text that changes with each rollout of the pods.
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
    """The result of a check. It has no times or other passing details, so equal findings are equal verdicts.

    Attributes:
        ok: Whether the server answered all requests as it should.
        limited: Whether authentication kept the probe from sending the canary query.
        reason: The reason of the condition Verified.
        message: The message of the condition Verified.
        server: What the server reports about itself; None when it wasn't asked or didn't report it.
        index: What the server reports about its index; None when it didn't report it.
        overrun: Whether the server sent more than a check takes, so that it isn't asked again soon. Verdicts
            that differ only in it are equal.
    """

    ok: bool
    limited: bool
    reason: Finding
    message: str
    server: ServerInfo | None = None
    index: IndexInfo | None = None
    overrun: bool = field(default=False, compare=False)


def server_info(initialized: dict[str, Any]) -> ServerInfo:
    """What a server reports about itself in the result of `initialize`, which doesn't name its tools."""
    about = initialized.get("serverInfo")
    about = about if isinstance(about, dict) else {}
    return ServerInfo(
        name=plain(about.get("name"), MAX_NAME),
        version=plain(about.get("version"), MAX_NAME),
        protocol_version=protocol_version(initialized),
    )


def tool_names(listed: dict[str, Any]) -> tuple[str, ...]:
    """The names in the result of `tools/list`."""
    tools = listed.get("tools")
    names = {_tool_name(tool) for tool in tools} - {""} if isinstance(tools, list) else set()
    return tuple(sorted(names)[:MAX_TOOLS])


def protocol_version(initialized: dict[str, Any]) -> str:
    """The revision of MCP that the server chose, or "" when it names no valid one."""
    version = initialized.get("protocolVersion")
    return version if isinstance(version, str) and _REVISION.fullmatch(version) else ""


def index_info(readiness: object) -> IndexInfo | None:
    """What a server reports about its index in the answer of `/health/ready`, or None; it may be anything."""
    index = readiness.get("index") if isinstance(readiness, dict) else None
    if not isinstance(index, dict):
        return None
    return IndexInfo(
        # The embedded index has no collection; its generation identifies it instead.
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
