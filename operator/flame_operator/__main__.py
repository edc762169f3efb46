"""Runs the command line when Python is started with `-m flame_operator`."""

from flame_operator.commands.main import main

main()
