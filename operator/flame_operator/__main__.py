"""`python -m flame_operator`."""

from flame_operator.commands.main import main

main()
