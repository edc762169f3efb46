"""Of attack 2's kind: the API server takes objects of 10,000 levels, in `managedFields` for example."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from flame_operator.api.reading import parsed
from flame_operator.commands.run import MOST_LEVELS

sys.setrecursionlimit(MOST_LEVELS)
text = b'{"metadata": ' + b'{"f:a":' * 9_990 + b"{}" + b"}" * 9_991
assert "metadata" in parsed(text)
"""


def test_a_list_with_an_object_of_ten_thousand_levels_is_read() -> None:
    """One such object, which anybody may create, ended every list and every watch, for all tenants."""
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=30)
