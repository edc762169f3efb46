"""Whether running servers answer: the step "verify".

`verifier` decides which server is checked when, within one budget. `mcp_probe` checks one server over
MCP. `verdict` is what a check has found, `target` what to ask and where, and `verification` is what a
pass calls.

May import `status` (a check is a part of it), `workloads` and what lies below. Start with `verification`.
"""
