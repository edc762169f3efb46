"""The one exception that every command turns into a plain line and exit code 1."""


class FlameMcpError(Exception):
    """A failure that the user can act on; its text says what to do."""
