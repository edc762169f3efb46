"""Fetches docs: git repositories, archives, and folders that are mounted into the pod.

Start in `fetch`: it has a model of each kind of source, and brings a source to a folder. `git` and
`archive` don't trust what they receive, and `volume` copies from a mounted folder whose writers it doesn't
trust; `web` decides which addresses may be requested, and `below` opens files below a folder. `pack`,
`checkout` and `xz` read formats within bounds on memory. A new kind of source is a model in `fetch` and a
module beside `git`; credentials are read from files that are named after the source.

May import `errors` only.
"""
