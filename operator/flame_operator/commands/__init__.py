"""The command line: one module a command.

`main` registers the commands; `common` has what they share. A command reads its arguments and settings,
calls the package, and turns errors into one line and an exit code. What takes long to load is imported
inside the command.

May import everything. Start with `main`.
"""
