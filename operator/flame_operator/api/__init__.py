"""Sends the operator's requests to the Kubernetes API, except for the watch, which is part of `informer`.

`kube` offers the requests that the operator needs: server-side apply, lists, deletions with preconditions,
the Lease. `transport` sends them, with deadlines and retries, and sends no write once the Lease has expired.

May import `telemetry`. Start with `KubeApi` in `kube`.
"""
