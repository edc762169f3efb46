"""How a command ended, for whoever reads no logs: an exit code, and a result in a file."""

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import click

from flame_server.errors import FlameMcpError, Kind

RESULT_FILE = "FLAME_MCP_RESULT_FILE"
"""The variable that names the file; a container's termination message has 4,096 bytes."""
EXIT_CODES: Mapping[Kind, int] = {"user": 1, "held": 3, "world": 75}
"""75 is EX_TEMPFAIL of sysexits.h: another try may go well. 2 is for wrong options and settings."""
UNEXPECTED = 70
"""EX_SOFTWARE."""
_MAX_MESSAGE = 1_500


def tell(step: str, result: Mapping[str, Any]) -> None:
    """Writes the result of a step where it is asked for; never fails because of that."""
    path = os.environ.get(RESULT_FILE)
    if not path:
        return
    try:
        Path(path).write_text(json.dumps({"step": step, **result}), encoding="utf-8")
    except OSError as error:
        click.echo(f"warning: cannot write {path}: {error.strerror or error}", err=True)


def run(step: str, work: Callable[[], None]) -> None:
    """Does the work of a command, and ends the process as its failure asks for.

    Args:
        step: What the result calls it.
        work: Tells its own result.
    """
    try:
        work()
    except FlameMcpError as error:
        fail(step, error.kind, str(error), EXIT_CODES[error.kind])
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except Exception as error:  # noqa: BLE001 - the last stop: it must be told apart from what a user can mend
        traceback.print_exc()
        fail(step, "internal", f"unexpected {type(error).__name__}: see the log", UNEXPECTED)


def fail(step: str, kind: str, message: str, code: int) -> NoReturn:
    """Ends the process with a line on standard error, and the same in the result."""
    click.echo(f"error: {message}", err=True)
    tell(step, {"error": {"kind": kind, "step": step, "message": message[:_MAX_MESSAGE]}})
    sys.exit(code)
