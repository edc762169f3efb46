"""The command line `flame-operator`, with one module per command.

Start in `main`, which registers the commands: `run` operates a cluster, `render` prints the children of
resources without a cluster. `common` has what they share. A command reads its arguments and settings, calls
the rest of the package, and turns errors into one line and an exit code. Modules that are slow to load are
imported inside the command that needs them.

May import everything.
"""
