"""Fetching docs: git repositories, archives, and folders that are mounted into the pod.

Start in `fetch`: the models of the sources, and `fetch`, which brings each to a folder. `git` and `archive`
do not trust what they receive; `web` decides which addresses may be requested.

May import `errors` only.
"""
