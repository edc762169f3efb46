"""What the tests of the references' lookup share."""

import pytest

from tests.support.operator.references_world import World


@pytest.fixture
def world() -> World:
    return World()
