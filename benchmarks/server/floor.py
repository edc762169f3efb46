"""The framework's floor: `python -m benchmarks.server.floor PORT ANSWER`, one tool with one answer.

The same FastMCP, the same answer's shape and size, the same settings of HTTP as `flame-mcp serve`, and
nothing behind it.
"""

import json
import sys
from pathlib import Path

import uvicorn
from fastmcp import FastMCP

from flame_server.search.results import Knowledge


def main() -> None:
    """Serves until it is killed."""
    port, answer = int(sys.argv[1]), Knowledge(**json.loads(Path(sys.argv[2]).read_text()))
    mcp = FastMCP("floor", mask_error_details=True)

    @mcp.tool
    async def get_flame_knowledge(query: str) -> Knowledge:
        del query
        return answer

    app = mcp.http_app(path="/mcp", stateless_http=True, json_response=True, host_origin_protection=False)
    config = uvicorn.Config(app, port=port, log_config=None, access_log=False, server_header=False, ws="none")
    uvicorn.Server(config).run()


if __name__ == "__main__":
    main()
