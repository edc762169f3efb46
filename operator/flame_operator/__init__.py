"""The Flame MCP operator: runs a docs-search server for each FlameMCPServer resource.

One pass over one resource goes through the rooms in this order: look (`informer`, `changes`), resolve
(`references`, `rollouts`), desire (`desired`), plan and act (`changes`), load (`ingestion`), verify
(`verification`), report (`status`). `reconcile` makes these calls; `leadership` says when; `factory`
connects the parts. `api` sends the requests, `workloads` reads what live objects say, `resource` is the
typed resource.

What the operator tells the search server: environment variables FLAME_MCP_*, which `desired.config` writes
and `flame_server.settings` reads, and credentials as files, which `desired.pod` mounts and
`flame_server.credentials` reads. What a Job tells the operator: a JSON result and an exit code, which
`flame_server.commands.outcome` writes and `workloads.jobs` reads. A running server is asked over MCP by
`verification.mcp_check`.
"""
