"""Verifies that running servers answer: the step "verify" of a pass.

`verifier` decides which server is checked when, within one budget. `mcp_probe` checks one server over MCP.
`verdict` holds what a check asks and finds, `target` derives the target of a check from a server, and
`verification` is what a pass calls.

May import `status` (a check is a part of it), `workloads` and what lies below. Start with `verification`.
"""
