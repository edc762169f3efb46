"""Fetches docs: git repositories, archives, and folders that are mounted into the pod.

Start in `fetch`: it has a model of each kind of source, and brings a source to a folder. `git` and
`archive` don't trust what they receive; `web` decides which addresses may be requested. A new kind of
source is a model in `fetch` and a module beside `git`; credentials are read from files that are named after
the source.

May import `errors` only.
"""
