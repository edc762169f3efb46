"""`python -m flame_server`."""

from flame_server.commands.main import main

main()
