"""The series that docs/metrics.md promises."""

import re

from tests.harness.paths import REPO

PAGE = REPO / "docs/metrics.md"
OURS = "flame_operator_"


def documented() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Type and labels of each series in the page's table."""
    rows = re.findall(rf"^\| `({OURS}\w+)` \| (\w+) \|([^|]*)\|", PAGE.read_text(), re.MULTILINE)
    return {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
