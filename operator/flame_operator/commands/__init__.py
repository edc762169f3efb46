"""Implements the command line, with one module for each command.

`main` registers the commands; `common` has what they share. A command reads its arguments and settings, calls
the rest of the package, and turns errors into one line and an exit code. Modules that are slow to load are
imported inside the command that needs them.

May import everything. Start with `main`.
"""
