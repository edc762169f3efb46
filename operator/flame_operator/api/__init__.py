"""Sends all requests to the Kubernetes API, except for kopf's watch (`informer.watch`).

Start in `kube`: it offers the requests that the operator needs, which are server-side apply, lists,
deletions with preconditions, and the Lease. `lists` reads lists and watches, in pieces of bounded size.
`selected` parses of large objects only what is read. `bounded_session` bounds the answers that kopf gets.
`transport` sends requests, with deadlines and retries, and sends no write once the Lease has expired.

May import `telemetry`.
"""
