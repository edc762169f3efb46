"""The running server: MCP over streamable HTTP or stdio, with health endpoints, metrics and traces.

Start in `server` (starts and stops the process) and `app` (the MCP server object). `tools` are the MCP
tools, `edge` the checks of HTTP requests, `page` the web page for people, `calls` what surrounds each call
of a tool, `readiness` what probes are told, `listeners` the two ports and what proxies in front of them
change. `metrics` has every Prometheus series (rooms below report to protocols of their own), `tracing` sends
traces.

May import `search`, what is below it, and the top-level modules. The only package that knows Starlette and
Uvicorn.
"""
