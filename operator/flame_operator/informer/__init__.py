"""Keeps a cache of the resources and their children up to date: the step "look" of a pass.

Start in `informer`: it feeds the `cache` from events and from full lists, and puts what has changed into
the work queue. `watch` runs kopf, which watches servers, and is the only module that knows it. `child_watch`
watches children; `events` tells from the first bytes of an event what it is about. `kept` decides what the
cache keeps of an object, `namespace_bytes` how much it keeps of a namespace. `sweep` lists everything, to
find what a broken watch has missed. `namespaces` follows those that a label selector chooses. `watch_health`
notices a watch that delivers nothing any more.

May import `api` and `telemetry`.
"""
