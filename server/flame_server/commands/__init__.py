"""The command line `flame-mcp`, with one module per command or small group of commands.

Start in `main`, which registers the commands. `common` holds what they share, `outcome` how a command that
runs in a Job reports its end; the commands below `flame-mcp index` are in `commands.index`.

A command parses options and prints results; the other packages do the work. Commands may import all of
them, but import heavy modules inside the function that needs them: `flame-mcp --help` must stay fast.
"""
