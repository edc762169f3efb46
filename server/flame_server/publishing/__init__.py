"""Changing which index a Qdrant alias points to: publish, roll back, take and restore snapshots.

Start in `publish`. `collection` fills a collection, `checks` decides whether it may be searched, `snapshots`
and `restore` are backups. Only commands use this package: a running server reads through the alias and never
writes.

May import `search` (a new collection must answer a query), `qdrant`, `index` and `embedding`.
"""
