"""Checks again and again whether running servers answer over MCP: the step "verify" of a pass.

Start in `verification`, which a pass calls. `target` derives from a resource what to ask and where.
`verifier` decides when each server is checked: so many checks a second over all servers, with namespaces
taking turns. `mcp_check` makes one check and trusts nothing that the server sends: `wire` limits bytes and
memory, `http_client` the framing, `answers` what is parsed. `verdict` is what a check has found.

May import `status.outcome`, whose `Check` is the form in which the status takes a verdict, and `workloads`.
"""
