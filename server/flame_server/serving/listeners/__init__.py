"""The two ports of the server: bounds on connections whose clients are slow, deaf or too many.

Start in `bounded_http`, which is Uvicorn with such bounds; `metrics_port` serves metrics and details with
bounds of its own. `crowd` knows all connections of a port, and which gives way to a new one.
Between a port and the checks of `edge` are `proxies`, which reads from trusted proxies who the client is, and
`paths`, which takes a path prefix away.

May import `serving.edge.limits`, `serving.edge.replies` and `serving.metrics`. The only room that
knows Uvicorn.
"""
