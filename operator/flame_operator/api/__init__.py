"""Requests to the Kubernetes API, and nothing else that leaves the process for it.

`kube` has the requests in the operator's words: server-side apply, lists, deletions with preconditions,
the Lease. `transport` sends them, with deadlines and retries, and sends no write once the Lease has run
out.

May import `telemetry`. Start with `KubeApi` in `kube`.
"""
