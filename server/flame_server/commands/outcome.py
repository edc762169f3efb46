"""How a command that runs in a Job reports its end: an exit code, and a result as JSON in a file."""

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import click

from flame_server.commands.certificates import trust_also
from flame_server.commands.common import one_line, report
from flame_server.errors import FlameMcpError, Kind, SettingsError

RESULT_FILE = "FLAME_MCP_RESULT_FILE"
"""The variable that names the file; a container's termination message holds 4,096 bytes."""
EXIT_CODES: Mapping[Kind, int] = {"user": 1, "held": 3, "world": 75}
"""75 is EX_TEMPFAIL of sysexits.h: trying again may help."""
UNUSABLE = 2
"""Wrong options or settings; click uses the same code."""
UNEXPECTED = 70
"""EX_SOFTWARE."""
_MAX_MESSAGE_BYTES = 1_500


def write_result(step: str, result: Mapping[str, Any]) -> None:
    """Writes the result of a step to the file that `RESULT_FILE` names, if any; only warns when it cannot."""
    path = os.environ.get(RESULT_FILE)
    if not path:
        return
    try:
        Path(path).write_text(json.dumps({"step": step, **result}, ensure_ascii=False), encoding="utf-8")
    except OSError as error:
        report(f"warning: cannot write {path}: {error.strerror or error}")


def run(step: str, work: Callable[[], None]) -> None:
    """Runs the work of a command. A failure is written as the result and ends the process with its exit code.

    Args:
        step: The step's name in the result.
        work: Writes its own result when it succeeds.
    """
    try:
        work()
    except FlameMcpError as error:
        fail(step, error.kind, str(error), EXIT_CODES[error.kind])
    except SettingsError as error:
        fail(step, "user", str(error), UNUSABLE)
    except click.UsageError as error:
        write_failure(step, "user", error.format_message())
        raise
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except Exception as error:  # noqa: BLE001 - the last resort: a bug must differ from what a user can fix
        traceback.print_exc()
        fail(step, "internal", f"unexpected {type(error).__name__}: see the log", UNEXPECTED)


def fail(step: str, kind: str, message: str, code: int) -> NoReturn:
    """Ends the process with a line on standard error and the same message in the result."""
    report(f"error: {message}")
    write_failure(step, kind, message)
    sys.exit(code)


def write_failure(step: str, kind: str, message: str) -> None:
    """Writes why a step failed as its result."""
    write_result(step, {"error": {"kind": kind, "step": step, "message": _cut(message)}})


def _cut(message: str) -> str:
    """The message, cut so that the result fits into a termination message even when JSON doubles its size."""
    return one_line(message).encode()[:_MAX_MESSAGE_BYTES].decode(errors="ignore")


class Step(click.Command):
    """A command whose exit code and result tell a Job what to do about a failure."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See `click.Command`."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            write_failure(self.name or "", "user", error.format_message())
            raise

    def invoke(self, ctx: click.Context) -> None:
        """See `click.Command`."""
        run(self.name or "", partial(self._work, ctx))

    def _work(self, ctx: click.Context) -> None:
        trust_also()
        super().invoke(ctx)
