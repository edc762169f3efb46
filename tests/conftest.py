"""What all tests share."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# A machine's first run builds hypothesis' tables of characters, which is slow and says nothing about us.
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")
