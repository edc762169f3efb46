"""`python -m flame_operator`."""

from flame_operator.cli import main

main()
