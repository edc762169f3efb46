"""Holds what the commands share: how they fail, and how they read the settings."""

import sys
from typing import NoReturn

import click
from pydantic import ValidationError

from flame_operator.settings import Settings


def fail(message: str) -> NoReturn:
    """End the process with exit code 1 and one line on standard error."""
    click.echo(f"error: {' '.join(message.split())}", err=True)
    sys.exit(1)


def configured() -> Settings:
    """The settings from the environment; ends the process with a message when a variable isn't valid."""
    try:
        return Settings()
    except ValidationError as error:
        fail(
            "; ".join(
                f"FLAME_OPERATOR_{'_'.join(map(str, detail['loc'])).upper()}: {detail['msg']}"
                for detail in error.errors(include_url=False)
            )
        )
