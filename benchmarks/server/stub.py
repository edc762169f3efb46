"""A Qdrant stand-in in a process of its own: prints its address and serves until standard input ends."""

import sys

from tests.support.server.qdrant_server import qdrant_served

if __name__ == "__main__":
    with qdrant_served() as stand_in:
        sys.stdout.write(f"{stand_in.url}\n")
        sys.stdout.flush()
        sys.stdin.read()
