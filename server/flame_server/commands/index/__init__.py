"""The commands `flame-mcp index ...`: fetch, build, verify, publish, roll back, copies, snapshots.

Start in `group`, which registers them. The commands that a Job runs are `Step`s (see `commands.outcome`):
they write their result to a file and end with an exit code that says whether to try again.
`counting` counts what a build embeds.
"""
