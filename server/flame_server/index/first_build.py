"""Builds the first index for a server that has none."""

from pathlib import Path

from flame_server.index.build import Report, build_index
from flame_server.index.manifest import NAME

FLAME = "https://github.com/flame-engine/flame.git"


def build_first_index(folder: Path, source: str | None, *, vectors: bool, report: Report) -> None:
    """Builds an index in `folder`, unless there is one.

    Args:
        folder: The folder of the index.
        source: As for `build_index`; None means Flame's own repository.
        vectors: Whether to embed with the local model.
        report: Called with lines about progress.

    Raises:
        FlameMcpError: See `build_index`.
    """
    if (folder / NAME).exists():
        return
    report(f"no index in {folder} yet: making one of {source or FLAME}, once, in about two minutes")
    build_index(source or FLAME, folder, embedding="local" if vectors else "none", report=report)
